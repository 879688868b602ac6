"""Writes outputs.json.gz, the shapes of the outputs of AWS operations,
actions.json.gz, the names of the operations of all services,
required.json.gz, the members that their inputs must have, and
inputs.zip, the members that they may have.

Usage: python3 generate.py  (botocore must be installed)
"""
import gzip
import json
import os
import re
import zipfile

import botocore

SERVICES = {
    "dynamodb": "dynamodb", "sqs": "sqs", "sns": "sns", "lambda": "lambda", "stepfunctions": "sfn", "s3": "s3",
    "iot": "iot", "iot-jobs-data": "iotjobsdataplane", "iot-data": "iotdataplane", "cloudwatch": "cloudwatch",
    "logs": "cloudwatchlogs", "sts": "sts", "events": "eventbridge", "kms": "kms", "secretsmanager": "secretsmanager",
}


def outputs(model):
    shapes, out = model["shapes"], {}

    def walk(name):
        if name in out:
            return
        shape = shapes[name]
        out[name] = entry = {"type": shape["type"]}
        for key in ("required", "enum", "min", "max"):
            if shape.get(key):
                entry[key] = shape[key]
        if shape["type"] == "structure":
            entry["members"] = {k: v["shape"] for k, v in shape.get("members", {}).items()}
            for member in entry["members"].values():
                walk(member)
        elif shape["type"] == "list":
            entry["element"] = shape["member"]["shape"]
            walk(entry["element"])
        elif shape["type"] == "map":
            entry["element"] = shape["value"]["shape"]
            walk(entry["element"])

    operations = {}
    for name, operation in model["operations"].items():
        if "output" in operation:
            operations[name] = operation["output"]["shape"]
            walk(operations[name])
    return {"operations": operations, "shapes": out}


def words(service_id):
    """Splits a service id as the SDK for Java does to name its clients."""
    text = re.sub(r"^(Amazon|AWS)\s+", "", service_id.replace("IoT", "Iot")).replace("-", " ")
    text = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text)
    return re.sub(r"\s*Service$", "", text).split()


def streams(model, operation):
    """Tells whether an operation takes or gives a stream of events."""
    for side in ("input", "output"):
        shape = model["shapes"].get(operation.get(side, {}).get("shape"), {})
        for member in shape.get("members", {}).values():
            if model["shapes"][member["shape"]].get("eventstream"):
                return True
    return False


def actions(data):
    """Service in resource ARNs: prefix of its errors and its operations, without
    those that stream, which Step Functions leaves out."""
    result = {}
    for folder in sorted(os.listdir(data)):
        if not os.path.isdir(os.path.join(data, folder)):
            continue
        version = sorted(os.listdir(os.path.join(data, folder)))[-1]
        path = os.path.join(data, folder, version, "service-2.json.gz")
        if not os.path.exists(path):
            continue
        with gzip.open(path) as f:
            model = json.load(f)
        name = words(model["metadata"]["serviceId"])
        prefix = "".join(w[0].upper() + w[1:].lower() for w in name)
        result[prefix.lower()] = {"prefix": prefix, "actions": sorted(k for k, v in model["operations"].items() if not streams(model, v))}
    return result


def required(data):
    """Service in resource ARNs: operation: members that its input must have, as
    Step Functions spells them, without those that the SDK fills in."""
    result = {}
    for folder in sorted(os.listdir(data)):
        if not os.path.isdir(os.path.join(data, folder)):
            continue
        version = sorted(os.listdir(os.path.join(data, folder)))[-1]
        path = os.path.join(data, folder, version, "service-2.json.gz")
        if not os.path.exists(path):
            continue
        with gzip.open(path) as f:
            model = json.load(f)
        service = "".join(words(model["metadata"]["serviceId"])).lower()
        for name, operation in model["operations"].items():
            shape = model["shapes"].get(operation.get("input", {}).get("shape"), {})
            members = [m[0].upper() + m[1:] for m in shape.get("required", []) if not shape["members"][m].get("idempotencyToken")]
            if members:
                result.setdefault(service, {})[name] = members
    return result


def inputs(data):
    """Service in resource ARNs: the input of each operation as a number, and the
    shapes by number: a structure's members and the shape of each, the shape of
    a list's or map's elements as a list of one; -1 is any other shape."""
    result = {}
    for folder in sorted(os.listdir(data)):
        if not os.path.isdir(os.path.join(data, folder)):
            continue
        version = sorted(os.listdir(os.path.join(data, folder)))[-1]
        path = os.path.join(data, folder, version, "service-2.json.gz")
        if not os.path.exists(path):
            continue
        with gzip.open(path) as f:
            model = json.load(f)
        shapes, numbers, out = model["shapes"], {}, []

        def walk(name):
            if name in numbers:
                return numbers[name]
            shape = shapes[name]
            numbers[name] = -1
            if shape["type"] == "structure" and not shape.get("document"):
                number = numbers[name] = len(out)
                out.append({})
                for member, v in shape.get("members", {}).items():
                    out[number][member] = walk(v["shape"])
            elif shape["type"] in ("list", "map"):
                number = numbers[name] = len(out)
                out.append([])
                out[number].append(walk((shape.get("member") or shape["value"])["shape"]))
            return numbers[name]

        operations = {}
        for name, operation in model["operations"].items():
            operations[name] = walk(operation["input"]["shape"]) if "input" in operation else -1
        result["".join(words(model["metadata"]["serviceId"])).lower()] = {"operations": operations, "shapes": out}
    return result


def write(name, value):
    target = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(target, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as f:
        f.write(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def archive(name, value):
    """A file for each service, so that the others need not be read."""
    target = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with zipfile.ZipFile(target, "w") as z:
        for service in sorted(value):
            entry = zipfile.ZipInfo(service)
            entry.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(entry, json.dumps(value[service], sort_keys=True, separators=(",", ":")), compresslevel=9)


def main():
    data = os.path.join(os.path.dirname(botocore.__file__), "data")
    result = {}
    for folder, service in SERVICES.items():
        version = sorted(os.listdir(os.path.join(data, folder)))[-1]
        with gzip.open(os.path.join(data, folder, version, "service-2.json.gz")) as f:
            result[service] = outputs(json.load(f))
    write("outputs.json.gz", result)
    write("actions.json.gz", actions(data))
    write("required.json.gz", required(data))
    archive("inputs.zip", inputs(data))


main()
