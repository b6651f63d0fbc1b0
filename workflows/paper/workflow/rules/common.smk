# What is compared: methods, by their options on the command line and in the library, and references.

MOTIFS = ["GATA1", "TAL1"]
TARGETS = [0, 1, 2]  # the tasks: both, GATA1, TAL1

# Methods that compare with no reference.
ALONE = {
    "gradient-input": "gradient × input",
    "guided-backprop": "guided backprop",
    "lrp": "LRP (ε)",
    "in-silico-mutagenesis": "in-silico mutagenesis",
}
# Methods that are run with each kind of reference.
COMPARING = {
    "integrated-gradients": "integrated gradients",
    "rescale": "DeepLIFT rescale",
    "reveal-cancel": "DeepLIFT reveal-cancel",
    "genomics": "DeepLIFT genomics",
}
RULES = ["rescale", "reveal-cancel", "genomics"]
TITLES = ALONE | COMPARING | {"gradient-difference": "gradient × (input − flat)"}
BACKGROUND = config["simulation"]["background"]
REFERENCES = {
    "flat": f"--references flat --background {','.join(map(str, BACKGROUND))}",
    "shuffles": f"--references dinucleotide-shuffle --n-references {config['scoring']['n_references']}",
}
# What `seqlift score` computes, and what is measured: one more, from the multipliers of gradient-input.
SCORED = [*ALONE, *(f"{method}.{name}" for name in REFERENCES for method in COMPARING)]
EXPLANATIONS = ["gradient-input", "gradient-difference", *SCORED[1:]]
SHOWN = {
    "flat": [name for name in EXPLANATIONS if not name.endswith(".shuffles")],
    "shuffles": [name for name in EXPLANATIONS if name.endswith(".shuffles")],
}


def title(explanation):
    return TITLES[explanation.split(".")[0]]


def method_options(wildcards):
    """Return the options of `seqlift score` for a method and its references."""
    method, _, references = wildcards.scored.partition(".")
    if method in RULES:
        words = f"--method deeplift --rules {method}"
    else:
        words = f"--method {method}"
    if method == "integrated-gradients":
        words += f" --steps {config['scoring']['steps']}"
    return f"{words} {REFERENCES.get(references, '')}".strip()


def library_options(method):
    """Return the same as arguments of the library's `Explainer`."""
    return {"rules": method} if method in RULES else {"method": method}


# As README.md has it; of a configuration of one's own the page shows the values.
COMMAND = "snakemake -c2 -s workflows/paper/workflow/Snakefile --directory paper"
