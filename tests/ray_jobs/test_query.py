"""Conditions: what they find, and that nothing but comparisons gets through."""

from __future__ import annotations

import json

import pytest

from ray_jobs.index import INDEX_NAME, write_index
from ray_jobs.sampling import listing, select
from synth.dataset import Dataset
from synth.errors import InputError
from synth.record import ShardReader


@pytest.fixture(scope="module")
def index(rendered_once, tmp_path_factory):
    root = tmp_path_factory.mktemp("query") / "heads"
    root.mkdir()
    (root / "dataset.yaml").write_text((rendered_once / "dataset.yaml").read_text())
    (root / "shards").symlink_to(rendered_once / "shards")
    write_index(Dataset.open(root))
    return root / INDEX_NAME


@pytest.fixture(scope="module")
def specs(rendered_once):
    return [head.spec for head in Dataset.open(rendered_once).heads()]


def matching(index, where) -> list[int]:
    try:
        return [line["index"] for line in select(index, where=where).rows]
    except InputError as error:
        assert "no head meets" in str(error)
        return []


CASES = {
    "age_years > 40": lambda s: s.identity.age_years > 40,
    "40 < age_years <= 60": lambda s: 40 < s.identity.age_years <= 60,
    "-0.5 >= pose.yaw_deg": lambda s: s.pose.yaw_deg <= -0.5,
    "sex == 'female' and age_years < 50": lambda s: (
        s.identity.sex == "female" and s.identity.age_years < 50
    ),
    "not (glasses or beard)": lambda s: (
        not (s.accessories.glasses or s.facial_hair.beard != "none")
    ),
    "glasses == False": lambda s: s.accessories.glasses is None,
    "hair.style in ('bob', 'long', 'crop')": lambda s: s.hair.style in ("bob", "long", "crop"),
    "hair.style not in ['bob', 'long']": lambda s: s.hair.style not in ("bob", "long"),
    "light.hdri is None": lambda s: s.light.hdri is None,
    "light.hdri is not None": lambda s: s.light.hdri is not None,
    "light.hdri != 'bpy:city'": lambda s: s.light.hdri not in (None, "bpy:city"),
    "not light.hdri == 'bpy:city'": lambda s: s.light.hdri not in (None, "bpy:city"),
    "light.hdri not in ('bpy:city',)": lambda s: s.light.hdri not in (None, "bpy:city"),
    "expression.actions.jawOpen > 0.1": lambda s: s.expression.actions.get("jawOpen", 0) > 0.1,
    "expression.actions.jawOpen <= 0.1": lambda s: s.expression.actions.get("jawOpen", 0) <= 0.1,
    "identity.shape['nose-hump-incr'] < 0": lambda s: s.identity.shape["nose-hump-incr"] < 0,
    "identity.sex == sex": lambda s: True,
    "age_group in ['30s', '40s']": lambda s: 30 <= s.identity.age_years < 50,
    "'bpy:city' in assets": lambda s: s.light.hdri == "bpy:city",
    "'bpy:city' not in assets": lambda s: s.light.hdri != "bpy:city",
    "'city' in assets": lambda s: False,
    "hair.colour.grey > skin.melanin": lambda s: s.hair.colour.grey > s.skin.melanin,
}


@pytest.mark.parametrize("where", CASES)
def test_a_condition_finds_what_python_finds(index, specs, where):
    expected = [spec.index for spec in specs if CASES[where](spec)]
    assert matching(index, where) == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("age_yeers > 3", "no column 'age_yeers' (did you mean 'age_years'?)"),
        ("jawOpen > 0", "there is expression.actions.jawOpen"),
        ("age > 60", "no column 'age' (did you mean 'age_years' or 'age_group'?)"),
        ("women and age_years > 60", 'write for example "age_years > 60 and glasses and sex'),
        ("sex == female", "sex is text, female is not; a text has quotes, 'female'"),
        ("glasses == true", "glasses is yes/no, true is not; write `glasses`, or `not glasses`"),
        ("glasses == 'yes'", "write `glasses`, or `not glasses`"),
        ("sex = 'female'", "cannot be read from \"= 'female'\" on"),
        ("sex == 'female' AND glasses", "cannot be read from 'AND glasses' on"),
        ("assets in ('a',)", "assets is texts, which cannot be compared"),
        ("hair.colour.albedo in (1,)", "hair.colour.albedo is numbers, which cannot be compared"),
        ("expression.actions in (1,)", "is numbers by label, which cannot be compared"),
        ("sex in ()", "`sex in` needs a list such as ['a', 'b']"),
        ("age_years in range(20, 30)", "`age_years in` needs a list such as [20, 30]"),
        ("'female' in sex", "sex is text and has nothing in it"),
        ("3 in assets", "assets is texts, 3 is none"),
        ("index > 9223372036854775808", "9223372036854775808 is too large"),
        ("melanim > 0", "did you mean 'skin.melanin'"),
        ("expression.actions.jawopen > 0", "did you mean 'jawOpen'"),
        ("accessories.glasses", "is a section, its columns are accessories.glasses.shape"),
        ("sex", "sex is text: compare it"),
        ("sex == 3", "sex is text, 3 is not"),
        ("age_years > '3'", "age_years is number, '3' is not"),
        ("age_years > True", "age_years is number, True is not"),
        ("glasses == 1", "glasses is yes/no, 1 is not"),
        ("sex < 'm'", "< does not apply"),
        ("sex == -'m'", "is not"),
        ("sex == None", "write `sex is None`"),
        ("sex is 'male'", "`is` goes with None only"),
        ("sex in 'male'", "needs a list"),
        ("sex == age_years", "sex is text, age_years is number"),
        ("identity.shape > 1", "identity.shape is numbers by label, which cannot be compared"),
        ("age_years >", "cannot be read: invalid syntax"),
        ("", "cannot be read"),
        ("age_years\0 > 3", "cannot be read"),
        ("1 < 2", "is none of: a column"),
        ("age_years + 1 > 3", "is none of: a column"),
        ("__import__('os').system('true')", "is none of: a column"),
        ("().__class__", "is none of: a column"),
        ("(lambda: 1)()", "is none of: a column"),
        ("[x for x in (1,)]", "is none of: a column"),
        ("f'{sex}' == 'a'", "is none of: a column"),
        ("sex == open('/etc/passwd')", "is none of: a column"),
        ("(a := 3)", "is none of: a column"),
    ],
)
def test_anything_else_is_refused_and_named(index, where, message):
    with pytest.raises(InputError) as caught:
        select(index, where=where)
    assert message in str(caught.value)


def test_deep_nesting_is_refused(index):
    with pytest.raises(InputError, match=r"nested too deeply|cannot be read"):
        select(index, where="(" * 5000 + "glasses" + ")" * 5000)
    with pytest.raises(InputError, match=r"nested too deeply|cannot be read"):
        select(index, where="not " * 3000 + "glasses")


def test_a_value_that_does_not_occur_is_answered_with_those_that_do(index):
    with pytest.raises(InputError, match=r"no head meets .*; sex is one of (fe)?male, (fe)?male$"):
        select(index, where="sex == 'femal'")


def test_a_sample_is_seeded_and_keeps_its_heads(index):
    chosen = [line["index"] for line in select(index, count=5).rows]
    assert chosen == [line["index"] for line in select(index, count=5).rows] == sorted(chosen)
    assert set(chosen) < {line["index"] for line in select(index, count=8).rows}
    assert chosen != [line["index"] for line in select(index, count=5, seed=1).rows]
    with pytest.raises(InputError, match="14 heads are wanted and 13 are there"):
        select(index, count=14)


def test_a_balanced_sample_has_each_value_equally_often(index, specs):
    found = [line["sex"] for line in select(index, count=6, balance="sex").rows]
    assert sorted(found) == ["female"] * 3 + ["male"] * 3
    groups = {spec.identity.ancestry for spec in specs}
    found = [line["ancestry"] for line in select(index, count=len(groups), balance="ancestry").rows]
    assert sorted(found) == sorted(groups)
    with pytest.raises(InputError, match="did you mean 'sex'"):
        select(index, count=1, balance="sexx")
    with pytest.raises(InputError, match="all heads cannot be balanced by sex"):
        select(index, balance="sex")


def test_the_listing_shows_what_was_asked(index):
    chosen = select(index, where="expression.actions.jawOpen >= 0 and sex is not None", count=2)
    head, *lines, last = listing(chosen).splitlines()
    assert head.split() == ["index", "spec_id", "shard", "expression.actions.jawOpen", "sex"]
    assert len(lines) == 2 and lines[0].split()[0] == str(chosen.rows[0]["index"])
    assert last == "13 heads in all"
    data = [json.loads(line) for line in listing(chosen, as_json=True).splitlines()]
    assert data == [dict(line) for line in chosen.rows]


def test_records_are_those_of_the_rows(index, rendered_once):
    chosen = select(index, count=7)
    records = list(chosen.records(Dataset.open(rendered_once)))
    assert [r.spec_id for r in records] == [line["spec_id"] for line in chosen.rows]
    assert all(r in ShardReader(r.shard).heads() for r in records)
