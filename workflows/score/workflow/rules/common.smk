# What the rules share: the checked configuration, the jobs that follow from it, and options for the command line.

import re
import shlex

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate


def check(config):
    """Fill in the defaults; say what is wrong without the dump of the schema that comes with it."""
    try:
        validate(config, "../schemas/config.schema.yaml")
    except WorkflowError as error:
        wrong = error.__context__
        if not hasattr(wrong, "json_path"):
            raise
        place = wrong.json_path.removeprefix("$").removeprefix(".") or "at the top"
        raise WorkflowError(f"configuration, {place}: {wrong.message}") from None


def targets_of(sample):
    """Return the targets of a sample as text: its own, or those of the configuration."""
    given = config["samples"][sample].get("targets", config["targets"])
    return list(dict.fromkeys(str(target) for target in given))  # 0 and "0" are one


def regions_of(wildcards):
    return config["samples"][wildcards.sample]["regions"]


def model_file():
    """Return the file that the model is read from; a factory in an installed package has none."""
    place, colon, _ = config["model"].rpartition(":")
    if not colon:
        return config["model"]
    return place if place.endswith(".py") else []


def references_file():
    """Return the file that references are read from; schemes have neither a dot nor a folder."""
    given = config["references"] or ""
    return given if "." in given or "/" in given else []


def model_of(wildcards, input):
    """Return the model as the command line takes it, its weights behind it."""
    _, colon, factory = config["model"].rpartition(":")
    model = str(input.model or config["model"])
    if input.model and colon:
        model += f":{factory}"
    weights = ["--weights", str(input.weights)] if input.weights else []
    return shlex.join([model, *weights])


def prefix_of(wildcards, output):
    return output.summary.removesuffix(".json")


def options(names):
    """Return options of the command line for values of the configuration, which have the same names."""
    words = []
    for name in names:
        value, option = config[name], f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words += [option, str(value)]
    return shlex.join(words)


def one_of(texts):
    """Return a regular expression for a wildcard that is one of these texts."""
    return "|".join(re.escape(text) for text in texts)


check(config)

SAMPLES = list(config["samples"])
TARGETS = sorted({target for sample in SAMPLES for target in targets_of(sample)})
JOBS = [f"{sample}.{target}" for sample in SAMPLES for target in targets_of(sample)]
ENDINGS = ["h5", "bw", "regions.tsv", "json"]
MODEL_OPTIONS = options(["allow_pickle", "length", "target_activation"])
SCORE_OPTIONS = options(
    [
        *["contig_style", "edges", "method", "rules"],
        *[
            "references",
            "background",
            "n_references",
            "reference_error",
            "estimator",
            "seed",
        ],
        *["device", "batch_size", "precision", "overlap", "logos", "on_incomplete"],
    ]
)
ON_GPU = str(config["device"]).startswith("cuda")
