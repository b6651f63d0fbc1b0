# Pictures in place of sequences, through the library.

# Not in-silico mutagenesis: a pixel has no three other bases.
DIGIT_METHODS = [
    "gradient-input",
    "guided-backprop",
    "lrp",
    "integrated-gradients",
    "rescale",
    "reveal-cancel",
    "genomics",
]


rule train_digits:
    output:
        network="results/digits/network.pt2",
        accuracy="results/digits/accuracy.tsv",
    log:
        "logs/train_digits.log",
    benchmark:
        "benchmarks/train_digits.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        digits=config["digits"],
        seed=config["seed"],
    script:
        "../scripts/train_digits.py"


rule erase_digits:
    input:
        network="results/digits/network.pt2",
    output:
        changes="results/digits/changes.tsv",
        summary="results/digits/summary.tsv",
        examples="results/digits/examples.npz",
    log:
        "logs/erase_digits.log",
    benchmark:
        "benchmarks/erase_digits.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        digits=config["digits"],
        methods={method: library_options(method) for method in DIGIT_METHODS},
        steps=config["scoring"]["steps"],
        seed=config["seed"],
    script:
        "../scripts/erase_digits.py"


rule plot_digits:
    input:
        changes="results/digits/changes.tsv",
        examples="results/digits/examples.npz",
    output:
        changes="results/figures/digits.png",
        example="results/figures/digit.png",
    log:
        "logs/plot_digits.log",
    benchmark:
        "benchmarks/plot_digits.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        pairs=config["digits"]["pairs"],
        methods=DIGIT_METHODS,
        titles=[TITLES[method] for method in DIGIT_METHODS],
    script:
        "../scripts/plot_digits.py"
