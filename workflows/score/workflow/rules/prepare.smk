# Once for all jobs: the genome's index, and whether the model can be explained at all.


# A folder of its own: that of the genome may be read-only, and jobs would race for an index there.
# bgzip needs a .gzi beside the .fai.
rule index_genome:
    input:
        genome=config["genome"],
    output:
        index=directory("results/genome_index"),
    log:
        "logs/index_genome.log",
    benchmark:
        "benchmarks/index_genome.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    script:
        "../scripts/index_genome.py"


# The table goes to the log as well, which stays when an operator without a rule fails the job.
rule inspect:
    input:
        files=model_files,
    output:
        table="results/model/{name}.operators.tsv",
    log:
        "logs/inspect/{name}.log",
    benchmark:
        "benchmarks/inspect/{name}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    resources:
        mem_mb=config["resources"]["mem_mb"],
        runtime=30,
    params:
        model=one_model_of,
        target=lambda wildcards: TARGET_OF[wildcards.name],
        options=MODEL_OPTIONS,
    shell:
        "(seqlift inspect {params.model} --target {params.target:q} {params.options}"
        " | tee {output.table:q}) > {log:q} 2>&1"
