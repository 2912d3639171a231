"""Text of strangers: what it may expand to, and what is said where it is not taken."""

import resource
from pathlib import Path

import pytest
from posedata.readers.files.safe_text import parse_json, read_json, read_text, read_xml

JSON = {
    '{"a": 1, "a": 2}': "'a' stands twice in an object",
    '[{"b": {"c": 1, "d": 2, "c": 3}}]': "'c' stands twice in an object",
    '{"a": NaN}': "NaN is not a number",
    "[-Infinity]": "-Infinity is not a number",
    "[" + "7" * 5000 + "]": "a number has thousands of digits",
    "[" * 100_000: "is nested too deep",
    '{"a":' * 100_000: "is nested too deep",
    '["\\ud800"]': "holds half a character",
    '{"\\uDFFF": 1}': "holds half a character",
    '{"a": [1, 2': r"is not JSON \(ends too early at line 1, column 1",
    '{"a": 1}\n{"b": 2}': r"is not JSON \(is damaged at line 2, column 1",
    "": r"is not JSON \(ends too early at line 1, column 1",
    "{'a': 1}": r"is not JSON \(is damaged at line 1, column 2",
}


@pytest.mark.parametrize("text", JSON, ids=lambda text: text[:12])
def test_json_that_is_not_taken(text: str) -> None:
    with pytest.raises(ValueError, match=JSON[text]) as caught:
        parse_json(text, "there.json", constants=False)
    assert str(caught.value).startswith("there.json: ")
    assert len(str(caught.value)) < 200
    for library in ("Expecting", "delimiter", "sys.set_int", "recursion", "surrogates"):
        assert library not in str(caught.value)


def test_json_that_is_taken(tmp_path: Path) -> None:
    assert parse_json('{"a": [1.5e3, "\\ud83d\\ude00", {"b": null}], "c": {"a": 1}}', "x") == {
        "a": [1500.0, "\U0001f600", {"b": None}],
        "c": {"a": 1},
    }
    value = parse_json("[NaN, -Infinity]", "x", constants=True)
    assert value[0] != value[0]
    assert value[1] == float("-inf")
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "bom.json", list) == [1]
    with pytest.raises(ValueError, match=r"bom\.json: holds a list, wanted a dict"):
        read_json(tmp_path / "bom.json")
    (tmp_path / "wide.json").write_text("[1]", encoding="utf-16")
    with pytest.raises(ValueError, match=r"wide\.json: is not text in UTF-8 \(at byte 0\); save it so"):
        read_text(tmp_path / "wide.json")


@pytest.mark.parametrize("unit", ["[],", "{},", '{"a":[]},'])
def test_what_a_text_expands_to_is_bounded_before_it_does(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "large.json"
    path.write_text("[" + unit * (64_000_000 // len(unit)) + "1]")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"large\.json: would take some \d+ MiB in memory"):
        read_json(path, list)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10  # KiB: the text, twice
    path.unlink()


def test_keypoints_by_the_million_are_no_bomb() -> None:
    person = '{"id":1,"keypoints":[' + ",".join(f"{i}.25" for i in range(100, 1000)) + "]}"
    text = "[" + ",".join([person] * 1500) + "]"
    assert len(parse_json(text, "x")) == 1500


def test_xml_is_bounded_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    for text, message in (
        ("<a><b></a>", r"is not XML \(at line 1, column 8\)"),
        ("", r"is not XML \(at line 1, column 0\)"),
        ('<!DOCTYPE l [<!ENTITY a "ha">]><l>&a;</l>', "declares a document type"),
        ("<a>" + "<b/>" * 8_000_000 + "</a>", "would take some"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            read_xml(path)
        assert "mismatched" not in str(caught.value)
    path.write_text("<a>" + "<b/>" * 1000 + "</a>")
    assert len(read_xml(path)) == 1000
