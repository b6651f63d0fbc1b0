# What goes into data/ beside the model.


rule mask_genome:
    input:
        peaks="results/peaks.tsv",
        genome=config["genome"]["path"],
        fai="resources/genome.fai",
        gzi="resources/genome.gzi",
    output:
        fasta=f"results/data/{SLICE}",
        fai=f"results/data/{SLICE}.fai",
        gzi=f"results/data/{SLICE}.gzi",
    log:
        "logs/mask_genome.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        chrom=config["genome"]["chrom"],
        flank=config["genome"]["slice_flank"],
    script:
        "../scripts/mask_genome.py"


rule write_narrowpeak:
    input:
        "results/peaks.tsv",
    output:
        f"results/data/{{name}}.{config['split']['test_chrom']}.narrowPeak",
    log:
        "logs/write_narrowpeak.{name}.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        factor=lambda wildcards: FACTOR_OF[wildcards.name],
    script:
        "../scripts/write_narrowpeak.py"


rule write_motif:
    input:
        "resources/motifs.pfm",
    output:
        f"results/data/{MOTIF}",
    log:
        "logs/write_motif.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        motif=config["gimmemotifs"]["motif"],
    script:
        "../scripts/write_motif.py"


rule write_readme:
    input:
        files=[
            f"results/data/{MODEL}",
            f"results/data/{SLICE}",
            f"results/data/{SLICE}.fai",
            f"results/data/{SLICE}.gzi",
            *expand(
                "results/data/{name}.{chrom}.narrowPeak",
                name=FACTOR_OF,
                chrom=config["split"]["test_chrom"],
            ),
            f"results/data/{MOTIF}",
            "results/data/metrics.json",
        ],
        template=workflow.source_path("../templates/README.md"),
        metrics="results/data/metrics.json",
        peaks="results/peaks.tsv",
        background="results/background.tsv",
    output:
        "results/data/README.md",
    log:
        "logs/write_readme.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        config=config,
    script:
        "../scripts/write_readme.py"
