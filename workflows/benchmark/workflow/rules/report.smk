# The tables, the figure and the page.


rule summarise:
    input:
        rows=expand("results/rows/{row}.seconds.tsv", row=ROWS),
        accuracy=expand("results/rows/{row}.accuracy.tsv", row=ROWS),
        command="results/command/seconds.tsv",
        quality=expand("results/quality/{row}.tsv", row=config["quality"]["rows"]),
    output:
        table="results/table.tsv",
        quality="results/quality.tsv",
    log:
        "logs/summarise.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        rows=list(ROWS),
        wanted={name: row["wanted"] for name, row in ROWS.items()}
        | {"command": config["command"]["wanted"]},
        levels=config["quality"]["levels"],
    script:
        "../scripts/summarise.py"


rule draw_curves:
    input:
        batch_size="results/curves/batch_size.tsv",
        n_references="results/curves/n_references.tsv",
        regions="results/curves/regions.tsv",
    output:
        figure="results/curves.png",
    log:
        "logs/draw_curves.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        titles={axis: TITLES[config["curves"]["row"]] for axis in AXES}
        | {"regions": f"whole commands, {TITLES[CURVE['row']]}"},
    script:
        "../scripts/draw_curves.py"


rule write_page:
    input:
        template=workflow.source_path("../templates/benchmark.md"),
        table="results/table.tsv",
        quality="results/quality.tsv",
        figure="results/curves.png",
        networks=expand("results/networks/{row}.tsv", row=ROWS),
        profiles=expand("results/profiles/{row}.txt", row=ROWS),
    output:
        page="results/benchmark.md",
    log:
        "logs/write_page.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        config=config,
        command=COMMAND,
        titles=TITLES
        | {
            "command": f"the whole command, {config['command']['regions']} regions, {TITLES[config['command']['row']]}"
        },
        cores=EVERYTHING,
    script:
        "../scripts/write_page.py"
