"""Writes enums.json.gz, ranges.json.gz and limits.json.gz beside it: for each operation of the services that the local
cloud has, the members of its input that take certain values only, with these values; the numbers, with their least and
greatest value; and all members that have a least or greatest value or length, or a pattern. From AWS's API models, as
botocore has them (botocore 1.43.11).

A member's path has a dot between names, [] behind a list, {} behind a map, and {key} for the keys of a map."""

import gzip
import json
import os

import botocore

SERVICES = {  # the local cloud's name: botocore's
    "cloudformation": "cloudformation", "cloudwatch": "cloudwatch", "cloudwatchlogs": "logs", "dynamodb": "dynamodb",
    "iam": "iam", "iot": "iot", "iotdataplane": "iot-data", "iotjobsdataplane": "iot-jobs-data", "kms": "kms",
    "lambda": "lambda", "s3": "s3", "scheduler": "scheduler", "sfn": "stepfunctions", "sns": "sns", "sqs": "sqs",
    "ssm": "ssm", "sts": "sts",
}


def model(name):
    folder = os.path.join(os.path.dirname(botocore.__file__), "data", name)
    path = os.path.join(folder, sorted(os.listdir(folder))[-1], "service-2.json")
    if os.path.exists(path):
        return json.load(open(path))
    return json.load(gzip.open(path + ".gz"))


def walk(shapes, name, path, seen, found, numbers, limits):
    shape = shapes[name]
    if name in seen:
        return
    seen = seen | {name}
    limited = {k: shape[k] for k in ("min", "max", "pattern") if k in shape}
    if limited and "enum" not in shape and shape["type"] != "timestamp":
        limits[path] = limited
    if shape["type"] == "structure":
        for member, to in shape["members"].items():
            walk(shapes, to["shape"], path + "." + member if path else member, seen, found, numbers, limits)
    elif shape["type"] == "list":
        walk(shapes, shape["member"]["shape"], path + "[]", seen, found, numbers, limits)
    elif shape["type"] == "map":
        walk(shapes, shape["key"]["shape"], path + "{key}", seen, {}, {}, limits)
        walk(shapes, shape["value"]["shape"], path + "{}", seen, found, numbers, limits)
    elif "enum" in shape:
        found[path] = shape["enum"]
    elif shape["type"] in ("integer", "long", "float", "double"):
        numbers[path] = [shape.get("min"), shape.get("max")]


def write(name, content):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), "wb") as f:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        f.write(gzip.compress(text.encode(), mtime=0))


enums, ranges, limited = {}, {}, {}
for ours, theirs in SERVICES.items():
    m = model(theirs)
    for name, operation in m["operations"].items():
        found, numbers, limits = {}, {}, {}
        if "input" in operation:
            walk(m["shapes"], operation["input"]["shape"], "", frozenset(), found, numbers, limits)
        if found:
            enums.setdefault(ours, {})[name] = found
        if numbers:
            ranges.setdefault(ours, {})[name] = numbers
        if limits:
            limited.setdefault(ours, {})[name] = limits
write("enums.json.gz", enums)
write("ranges.json.gz", ranges)
write("limits.json.gz", limited)
