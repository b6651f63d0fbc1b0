# What the rules share: the checked configuration, the jobs that follow from it, and options for the command line.

import re
import shlex

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate


def one_line(text):
    """Return a message in printable letters, cut in the middle where a value is long."""
    text = "".join(
        letter if letter.isprintable() else repr(letter)[1:-1] for letter in text
    )
    return text if len(text) < 400 else f"{text[:250]} ... {text[-120:]}"


def check(config):
    """Fill in the defaults; say what is wrong without the dump of the schema that comes with it."""
    try:
        validate(config, "../schemas/config.schema.yaml")
    except WorkflowError as error:
        wrong = error.__context__
        if not hasattr(wrong, "json_path"):
            raise
        place = wrong.json_path.removeprefix("$").removeprefix(".") or "at the top"
        raise WorkflowError(
            one_line(f"configuration, {place}: {wrong.message}")
        ) from None


def listed(value):
    """Return a value of the configuration as a list: nothing, one or several."""
    return value if isinstance(value, list) else [] if value is None else [value]


def models_of(config):
    """Return each model by its name: what it is, and its weights, as lists."""
    if (config["model"] is None) == (config["models"] is None):
        raise WorkflowError("configuration, at the top: give either model or models")
    given = config["models"] or {
        "": {"model": config["model"], "weights": config["weights"]}
    }
    return {
        name: (listed(one["model"]), listed(one.get("weights")))
        for name, one in given.items()
    }


def targets_of(sample):
    """Return the targets of a sample as text: its own, or those of the configuration."""
    given = config["samples"][sample].get("targets", config["targets"])
    return list(dict.fromkeys(str(target) for target in given))  # 0 and "0" are one


def named(*parts):
    """Join the parts of a name, of which the model's may be empty."""
    return ".".join(part for part in parts if part)


def regions_of(wildcards):
    _, sample = RUNS[wildcards.run]
    return config["samples"][sample]["regions"]


def model_name(wildcards):
    """Return which model a job is about."""
    return (
        MODEL_OF[wildcards.name]
        if hasattr(wildcards, "name")
        else RUNS[wildcards.run][0]
    )


def file_of(model):
    """Return the file that a model is read from; factories in packages and architectures have none."""
    place, colon, _ = model.rpartition(":")
    if not colon:
        return [] if model in ARCHITECTURES else [model]
    return [place] if place.endswith(".py") else []


def model_files(wildcards):
    """Return the files of a model, its weights among them."""
    models, weights = MODELS[model_name(wildcards)]
    return [file for model in models for file in file_of(model)] + weights


def operators_of(wildcards):
    model, _ = RUNS[wildcards.run]
    return f"results/model/{named(model, wildcards.target)}.operators.tsv"


def references_file():
    """Return the file that references are read from; schemes have neither a dot nor a folder."""
    given = config["references"] or ""
    return given if "." in given or "/" in given else []


def placed_files(wildcards, input):
    """Return the files of a model as the command line takes them, by their names in the configuration.

    They are elsewhere for a job that gets its files from a storage, as on Kubernetes.
    """
    return dict(zip(model_files(wildcards), input.files))


def placed(model, files):
    """Return a model, or a factory in a file, with the place of that file."""
    for file in file_of(model):
        return files[file] + model.removeprefix(file)
    return model


def model_of(wildcards, input):
    """Return models as the command line takes them, and their weights."""
    models, weights = MODELS[model_name(wildcards)]
    files = placed_files(wildcards, input)
    words = [word for model in models for word in ("--model", placed(model, files))]
    return shlex.join(
        words + [word for file in weights for word in ("--weights", files[file])]
    )


def one_model_of(wildcards, input):
    """Return the first of the models, and of their weights: folds have the same operators."""
    models, weights = MODELS[model_name(wildcards)]
    files = placed_files(wildcards, input)
    words = [word for file in weights[:1] for word in ("--weights", files[file])]
    return shlex.join([placed(models[0], files), *words])


def references_of(wildcards, input):
    """Return the option for references: a file, or a scheme."""
    given = input.references if references_file() else config["references"]
    return shlex.join(["--references", given]) if given else ""


def shards_of(wildcards):
    """Return the summaries of the shards of a job."""
    n = config["shards"]
    return [
        f"results/shards/{wildcards.run}.{wildcards.target}/{i}.json"
        for i in range(1, n + 1)
    ]


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

ARCHITECTURES = ("bpnet", "basepairnet", "chrombpnet", "basset", "deepsea", "beluga")
MODELS = models_of(config)
SAMPLES = list(config["samples"])
TARGETS = sorted({target for sample in SAMPLES for target in targets_of(sample)})
# A run is a sample, or MODEL.SAMPLE where models have names.
RUNS = {named(model, sample): (model, sample) for model in MODELS for sample in SAMPLES}
JOBS = {
    f"{run}.{target}": (run, target)
    for run, (_, sample) in RUNS.items()
    for target in targets_of(sample)
}
# What is inspected: TARGET, or MODEL.TARGET.
MODEL_OF = {named(model, target): model for model in MODELS for target in TARGETS}
TARGET_OF = {named(model, target): target for model in MODELS for target in TARGETS}
ENDINGS = ["h5", "bw", "regions.tsv", "json"]
MODEL_OPTIONS = options(["allow_pickle", "length", "target_activation"])
SCORE_OPTIONS = options(
    [
        *["contig_style", "edges", "method", "rules"],
        *[
            "background",
            "n_references",
            "reference_error",
            "estimator",
            "seed",
        ],
        *["device", "batch_size", "precision", "on_incomplete"],
    ]
)
RESULT_OPTIONS = options(["overlap", "logos"])
# Without a GPU, none at all: Kubernetes takes 0 for a job that must go to a node with GPUs.
GPU = (
    {"gpu": config["resources"]["gpu"]}
    if str(config["device"]).startswith("cuda")
    else {}
)
