#!/usr/bin/env python3
"""vf_results.py FOLDER: what a run of bench/vf/run.py left there is whole: results.json keeps to its schema, the page and plots are there."""
import json
import pathlib
import shutil
import sys

import jsonschema

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "bench" / "vf" / "results.schema.json"
folder = pathlib.Path(sys.argv[1])
results = json.loads((folder / "results.json").read_text())
faults = [f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
          for error in jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(results)]
if not (folder / "report.html").stat().st_size:
    faults.append("report.html is empty")
if shutil.which("rsvg-convert") and len(list(folder.glob("*.png"))) < 4:
    faults.append("there are no PNG files of the plots")
print("\n".join(faults) or f"{len(results['cells'])} cells")
sys.exit(bool(faults))
