"""Any configuration of the scoring workflow is taken, or refused in one printable line."""

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

utils = pytest.importorskip("snakemake.utils")
yaml = pytest.importorskip("yaml")

from snakemake.exceptions import WorkflowError  # noqa: E402

WORKFLOW = Path(__file__).parents[1] / "workflows/score/workflow"
RULES = WORKFLOW / "rules/common.smk"
SCHEMA = WORKFLOW / "schemas/config.schema.yaml"
NAMES = [*yaml.safe_load(SCHEMA.read_text())["properties"], "threads", "regions", "models.a", ""]
GIVEN = {"model": "m.pt2", "genome": "g.fa", "samples": {"a": {"regions": "a.bed"}}}

plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(),
    st.sampled_from(["x" * 9999, "\x1b[2J", "a\nb", "1e9", "cuda:0", "0..4", -1, 0, 10**400]),
)  # fmt: skip
names = st.sampled_from(NAMES) | st.text(max_size=5)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)


def functions():
    """Run the part of the rules' common file that defines functions, as a Snakefile would."""
    text, _, _ = RULES.read_text().partition("\ncheck(config)\n")
    found = {}
    exec(text, found)
    # A Snakefile's paths are relative to itself.
    found["validate"] = lambda config, schema: utils.validate(config, str(RULES.parent / schema))
    return found


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(names, values, max_size=3), st.booleans())
def test_a_line_or_a_plan(changes, is_whole):
    config = GIVEN | changes if is_whole else changes
    own = functions()
    try:
        own["check"](config)
        own["config"] = config
        models = own["models_of"](config)
        targets = [own["targets_of"](sample) for sample in config["samples"]]
    except WorkflowError as error:
        message = str(error)
        assert message.startswith("configuration, ")
        assert message.isprintable()
        assert len(message) < 500
    else:
        assert models and all(targets)


def test_the_functions_refuse_and_take():
    own = functions()
    own["check"](dict(GIVEN))
    with pytest.raises(WorkflowError, match="configuration, at the top: "):
        own["check"]({})
