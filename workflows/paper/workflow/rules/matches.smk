# Scores under the matches to the motifs.


rule find_matches:
    input:
        motifs=workflow.source_path("../resources/motifs.tsv"),
        sequences="results/simulated/sequences.tsv",
        sites="results/simulated/sites.tsv",
    output:
        matches="results/matches/matches.tsv",
        is_motif="results/matches/is_motif.npy",
    log:
        "logs/find_matches.log",
    benchmark:
        "benchmarks/find_matches.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        matches=config["matches"],
        background=BACKGROUND,
    script:
        "../scripts/find_matches.py"


rule measure:
    input:
        scores=lambda wildcards: [
            f"results/scores/{wildcards.explanation.replace('difference', 'input')}.{target}.h5"
            for target in TARGETS
        ],
        matches="results/matches/matches.tsv",
        is_motif="results/matches/is_motif.npy",
    output:
        totals="results/matches/{explanation}.totals.tsv.gz",
        noise="results/matches/{explanation}.noise.tsv",
    log:
        "logs/measure/{explanation}.log",
    benchmark:
        "benchmarks/measure/{explanation}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        difference=lambda wildcards: (
            BACKGROUND if wildcards.explanation == "gradient-difference" else None
        ),
    script:
        "../scripts/measure.py"


rule summarise:
    input:
        totals=expand(
            "results/matches/{explanation}.totals.tsv.gz", explanation=EXPLANATIONS
        ),
        noise=expand(
            "results/matches/{explanation}.noise.tsv", explanation=EXPLANATIONS
        ),
        flat=expand(
            "results/scores/{method}.flat.{target}.h5",
            method=COMPARING,
            target=TARGETS,
        ),
        shuffles=expand(
            "results/scores/{method}.shuffles.{target}.h5",
            method=COMPARING,
            target=TARGETS,
        ),
    output:
        missed="results/missed.tsv",
        noise="results/noise.tsv",
        agreement="results/agreement.tsv",
    log:
        "logs/summarise.log",
    benchmark:
        "benchmarks/summarise.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        explanations=EXPLANATIONS,
        methods=list(COMPARING),
        strong=config["matches"]["strong"],
    script:
        "../scripts/summarise.py"


rule plot_matches:
    input:
        totals=lambda wildcards: expand(
            "results/matches/{explanation}.totals.tsv.gz",
            explanation=SHOWN[wildcards.references],
        ),
    output:
        figure="results/figures/{motif}.{references}.png",
    log:
        "logs/plot_matches/{motif}.{references}.log",
    benchmark:
        "benchmarks/plot_matches/{motif}.{references}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        titles=lambda wildcards: [title(name) for name in SHOWN[wildcards.references]],
        strong=config["matches"]["strong"],
    script:
        "../scripts/plot_matches.py"
