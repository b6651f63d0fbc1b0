# What is measured, and the options that the measurements share.

from snakemake.exceptions import WorkflowError

USED = {
    config["command"]["row"],
    config["curves"]["row"],
    config["curves"]["regions"]["row"],
    *config["quality"]["rows"],
}
if unknown := set(config["timed"]) - set(config["rows"]):
    raise WorkflowError(
        f"configuration, timed: no such row: {', '.join(sorted(unknown))}; name one of {', '.join(config['rows'])}"
    )
if missing := USED - set(config["timed"]):
    raise WorkflowError(
        f"configuration, timed: {', '.join(sorted(missing))} is not in it, which command, curves or quality use; add it, or name "
        "another row there"
    )

ROWS = {name: config["rows"][name] for name in config["timed"]}
TITLES = {name: f"{row['title']}, {row['length']:,} bp" for name, row in ROWS.items()}
AXES = ["batch_size", "n_references"]
# A measurement has the machine to itself: it takes all cores, so that no other job runs beside it.
EVERYTHING = workflow.cores or 1


def row_of(wildcards):
    return ROWS[wildcards.row]


def in_genome(n):
    """Return the file of so many regions of the random chromosome."""
    return f"results/genome/{n}.bed"


# As README.md has it; of a configuration of one's own the page shows the values.
COMMAND = "snakemake --cores all -s workflows/benchmark/workflow/Snakefile --directory benchmark"
