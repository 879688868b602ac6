"""Writes outputs.json.gz: the shapes of the outputs of AWS operations.

Usage: python3 generate.py  (botocore must be installed)
"""
import gzip
import json
import os

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


def main():
    data = os.path.join(os.path.dirname(botocore.__file__), "data")
    result = {}
    for folder, service in SERVICES.items():
        version = sorted(os.listdir(os.path.join(data, folder)))[-1]
        with gzip.open(os.path.join(data, folder, version, "service-2.json.gz")) as f:
            result[service] = outputs(json.load(f))
    target = os.path.join(os.path.dirname(os.path.abspath(__file__)), "outputs.json.gz")
    with open(target, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as f:
        f.write(json.dumps(result, sort_keys=True, separators=(",", ":")).encode())


main()
