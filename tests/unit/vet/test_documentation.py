"""Cards, their gaps, and the class of the Model Openness Framework."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.vetting import Section
from keelmark.passport.manifest import build_manifest
from keelmark.vet.documentation import card, croissant, evidence, mof
from keelmark.vet.machine import Machine
from keelmark.vet.survey import Asked, Subject
from keelmark.vet.surveys import documentation
from unit.vet.test_health import TODAY, project

WORDS = "It was made with care from many documents, and this sentence says what is to be known."
FULL = f"""\
---
license: apache-2.0
language: [en]
datasets: [owner/corpus]
base_model: owner/base
model-index: [{{name: m, results: [{{task: {{type: t}}}}]}}]
co2_eq_emissions: {{emissions: 12}}
---
# A model

{WORDS}

## Training procedure
{WORDS}
## Intended uses
{WORDS}
### Out-of-scope use
{WORDS}
## Limitations
{WORDS}
## How to get started with the model
{WORDS}
## Citation
{WORDS}
## Contact
Write to someone@example.com.

- **Developed by:** Example Ltd
"""

# A form of the usual shape that nobody filled in, as it looks once it is rendered.
FORM = """\
---
library_name: transformers
tags: []
---
# Model Card for Model ID

<!-- Provide a quick summary of what the model is/does. -->

## Model Details
### Model Description
<!-- Provide a longer summary of what this model is. -->
This is the model card of a \U0001f917 transformers model that has been pushed on the Hub. This \
model card has been automatically generated.

- **Developed by:** [More Information Needed]
- **Language(s) (NLP):** [More Information Needed]
- **License:** [More Information Needed]
- **Finetuned from model [optional]:** [More Information Needed]

## Uses
### Direct Use
[More Information Needed]
### Out-of-Scope Use
[More Information Needed]
## Bias, Risks, and Limitations
[More Information Needed]
### Recommendations
Users (both direct and downstream) should be made aware of the risks, biases and limitations of \
the model. More information needed for further recommendations.
## How to Get Started with the Model
Use the code below to get started with the model.

[More Information Needed]
## Training Details
### Training Data
[More Information Needed]
### Training Procedure
#### Preprocessing [optional]
[More Information Needed]
#### Training Hyperparameters
- **Training regime:** [More Information Needed] <!--fp32, fp16 mixed precision, bf16 -->
## Evaluation
### Results
[More Information Needed]
#### Summary
## Environmental Impact
Carbon emissions can be estimated using the [Machine Learning Impact calculator]\
(https://mlco2.github.io/impact#compute) presented in [Lacoste et al. (2019)]\
(https://arxiv.org/abs/1910.09700).

- **Hardware Type:** [More Information Needed]
- **Carbon Emitted:** [More Information Needed]
## Citation [optional]
**BibTeX:**

[More Information Needed]
## Model Card Authors [optional]
[More Information Needed]
## Model Card Contact
[More Information Needed]
"""


def survey(
    files: Mapping[str, bytes],
    facts: Mapping[str, Mapping[str, object]],
    folder: Path,
    clone: Path | None = None,
) -> Section:
    model = folder / "model"
    for name, data in (files or {"m.safetensors": b"x"}).items():
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(data)
    asked = Asked(project=clone)
    subject = Subject(build_manifest(model), facts, (), asked, Machine(), TODAY)
    section, findings, _ = documentation.run(subject)
    assert findings == ()
    assert section
    return section


def answers(text: str, metadata: Mapping[str, object] | None = None) -> dict[str, str]:
    return {one.item.id: one.answer for one in card.judge(text, metadata or {})}


def test_the_weights_are_a_hundred() -> None:
    assert sum(item.weight for item in card.items()) == 100
    weights = [item.weight for item in card.items()]
    assert weights == sorted(weights, reverse=True)


def test_a_full_card_has_all_points() -> None:
    front = {
        "license": "apache-2.0",
        "language": ["en"],
        "datasets": ["owner/corpus"],
        "base_model": "owner/base",
        "model-index": [{"name": "m", "results": [{"task": {}}]}],
        "co2_eq_emissions": {"emissions": 12},
    }
    said = card.judge(FULL, front)
    assert [one.item.id for one in said if one.answer != "present"] == []
    assert card.points(said) == 100


def test_a_form_that_nobody_filled_in_has_none() -> None:
    said = card.judge(FORM, {"library_name": "transformers", "tags": []})
    assert {one.item.id: one.where for one in said if one.answer == "present"} == {}
    assert answers(FORM)["training_data"] == "placeholder"
    assert answers(FORM)["contact"] == "placeholder"
    assert answers(FORM)["licence"] == "placeholder"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (f"## Training data\n{WORDS}\n", "present"),
        ("## Training data\n\n## Other\nIt is long enough to say something.\n", "placeholder"),
        ("## Training data\nTODO\n", "placeholder"),
        (
            "## Training data\n<!-- A long comment that says what to write here. -->\n",
            "placeholder",
        ),
        ("## Training data\n### Sources\n### Sizes\n", "placeholder"),
        (f"## Training data\n### Sources\n{WORDS}\n", "present"),
        ("## Training data\n{{ training_data }}\n", "placeholder"),
        (f"Training data\n-------------\n{WORDS}\n", "present"),
        (f"## **2.1 Training Data:** \U0001f4da\n{WORDS}\n", "present"),
        (f"```\n## Training data\n{WORDS}\n```\n", "missing"),
        (f"<!--\n## Training data\n{WORDS}\n-->\n", "missing"),
        (f"I will not talk about training data here. {WORDS}\n", "missing"),
        ("- **Training data:** the Example corpus\n", "present"),
        ("- **Training data:** [More Information Needed]\n", "placeholder"),
        ("", "missing"),
    ],
)
def test_what_counts_as_said(text: str, answer: str) -> None:
    assert answers(f"# Title\n{text}")["training_data"] == answer


@pytest.mark.parametrize(
    ("front", "answer"),
    [
        ({"license": "mit"}, "present"),
        ({"license": "other"}, "placeholder"),
        ({"license": "other", "license_name": "acme-1.0"}, "present"),
        ({"license": ""}, "missing"),
        ({"license": "[More Information Needed]"}, "placeholder"),
        ({"license": ["mit", "apache-2.0"]}, "present"),
        ({"license": 7}, "present"),
        ({}, "missing"),
    ],
)
def test_licences_in_front_matter(front: dict[str, object], answer: str) -> None:
    assert answers("", front)["licence"] == answer


def test_weights_speak_for_themselves(tmp_path: Path) -> None:
    metadata = {"general.license": "apache-2.0", "general.base_model.0.name": "Base"}
    section = survey({"m.gguf": b"x"}, {"m.gguf": {"gguf": {"metadata": metadata}}}, tmp_path)
    assert section.data["card"]["points"] == 15
    assert section.answer == "15 of 100"
    assert "There is no card" in section.summary


def test_missing_things_are_listed_by_weight(tmp_path: Path) -> None:
    text = f"# M\n## Limitations\n{WORDS}\n"
    section = survey({"README.md": text.encode()}, {"README.md": {"text": text}}, tmp_path)
    assert "lacks most of all training data (12), evaluation results (12)" in section.summary
    lines = [line for line in section.lines if line.what.startswith("card: ")]
    assert len(lines) == 15
    assert all(line.answer in {"present", "missing", "placeholder"} for line in lines)


def test_a_card_that_was_not_read_is_said(tmp_path: Path) -> None:
    section = survey({"README.md": b"x"}, {}, tmp_path)
    assert "README.md" in section.unanswered[0]


def test_the_nearest_card_counts(tmp_path: Path) -> None:
    facts = {
        "README.md": {"text": "# M\n", "card": {"license": "mit"}},
        "sub/README.md": {"text": FULL, "card": {"license": "apache-2.0"}},
    }
    section = survey({"README.md": b"x", "sub/README.md": b"x"}, facts, tmp_path)
    assert section.data["card"]["path"] == "README.md"


def seen(**states: str) -> list[mof.Seen]:
    return [
        mof.Seen(one, states.get(one.id, mof.MISSING), "x", "") for one in mof.tables().components
    ]


def all_but(*names: str, number: int = 1, **states: str) -> list[mof.Seen]:
    wanted = {one.id: mof.INCLUDED for one in mof.tables().components if one.first >= number}
    return seen(**{**{n: s for n, s in wanted.items() if n not in names}, **states})


def test_the_framework_has_its_components() -> None:
    found = mof.tables().components
    assert len(found) == 17
    assert [sum(one.first == n for one in found) for n in (3, 2, 1, 0)] == [6, 5, 5, 1]


@pytest.mark.parametrize(
    ("given", "reached", "possible"),
    [
        (all_but(number=1), 1, 1),
        (all_but(number=2), 2, 2),
        (all_but(number=3), 3, 3),
        (all_but("model_card"), 0, 0),
        (all_but("training_code"), 3, 3),
        (all_but("technical_report"), 1, 1),  # the paper stands for it
        (all_but("research_paper"), 2, 2),
        (all_but("technical_report", number=3, research_paper=mof.INCLUDED), 3, 3),
        (all_but("technical_report", "research_paper", number=3), 0, 0),
        (all_but(number=3, data_card=mof.OTHER_KIND), 3, 3),
        (all_but(number=3, data_card=mof.NOT_OPEN), 0, 0),
        (all_but(number=3, data_card=mof.NO_LICENCE), 0, 3),
        (all_but(number=1, datasets=mof.LINKED), 2, 1),
        (seen(), 0, 0),
    ],
)
def test_classes(given: list[mof.Seen], reached: int, possible: int) -> None:
    found = mof.classify(given)
    assert (found.reached, found.possible) == (reached, possible)
    assert bool(found.lacks) == (found.reached != 1)


@pytest.mark.parametrize(
    ("licence", "kind", "expected"),
    [
        ("apache-2.0", "code", mof.INCLUDED),
        ("CC-BY-4.0", "document", mof.INCLUDED),
        ("cc-by-4.0", "code", mof.OTHER_KIND),
        ("gpl-3.0", "code", mof.INCLUDED),
        ("llama3.1", "data", mof.NOT_OPEN),
        ("cc-by-nc-4.0", "data", mof.NOT_OPEN),
        ("bigscience-openrail-m", "data", mof.NOT_OPEN),
        ("acme-1.0", "data", mof.NO_LICENCE),
        ("", "data", mof.NO_LICENCE),
    ],
)
def test_licences_are_judged(licence: str, kind: str, expected: str) -> None:
    assert mof.status("file", licence, kind, linked=False) == expected
    assert mof.status("", licence, kind, linked=False) == mof.MISSING
    assert mof.status("link", licence, kind, linked=True) == mof.LINKED


MIT = """MIT License

Copyright (c) 2026 Example

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
HALF = MIT.replace("without restriction", "for research only")
OPEN_SCIENCE = {
    "README.md": FULL.encode(),
    "LICENSE": b"",
    "modeling_x.py": b"",
    "model.safetensors": b"",
    "data_card.md": b"",
    "paper.pdf": b"",
    "eval_results.json": b"{}",
    "train.py": b"",
    "generate.py": b"",
    "evaluate.py": b"",
    "eval_data/a.jsonl": b"",
    "requirements.txt": b"",
    "data/train.jsonl": b"",
    "preprocess.py": b"",
    "checkpoint-100/model.safetensors": b"",
    "trainer_state.json": b"{}",
}


def test_an_open_science_model(tmp_path: Path) -> None:
    facts = {"README.md": {"text": FULL, "card": {"license": "apache-2.0"}}}
    section = survey(OPEN_SCIENCE, facts, tmp_path)
    assert section.data["openness"]["class"] == 1
    assert "Class I" in section.summary


def test_a_licence_of_a_folder_counts_first(tmp_path: Path) -> None:
    nc = "Licensed under Creative Commons Attribution-NonCommercial 4.0 International."
    facts = {
        "README.md": {"text": FULL, "card": {"license": "apache-2.0"}},
        "data/LICENSE": {"text": nc},
    }
    section = survey({**OPEN_SCIENCE, "data/LICENSE": b"x"}, facts, tmp_path)
    assert section.data["openness"]["components"]["datasets"]["status"] == mof.NOT_OPEN
    assert section.data["openness"]["class"] == 2


def test_the_usual_weights_alone_are_not_classed(tmp_path: Path) -> None:
    text = f"# M\n\n{WORDS} {WORDS} {WORDS}\n\nSee arXiv:2307.09288.\n"
    facts = {"README.md": {"text": text, "card": {"license": "llama3.1"}}}
    files = {"README.md": b"x", "model.safetensors": b"x", "config.json": b"{}"}
    section = survey(files, facts, tmp_path)
    found = section.data["openness"]
    assert found["class"] is None
    assert found["components"]["parameters"]["status"] == mof.NOT_OPEN
    assert found["components"]["research_paper"]["status"] == mof.LINKED
    assert found["components"]["architecture"]["status"] == mof.MISSING


def test_a_clone_shows_what_the_artefact_has_not(tmp_path: Path) -> None:
    where = project(tmp_path, {"train.py": "1", "LICENSE": MIT, "tests/evaluate.py": "1"})
    section = survey({}, {}, tmp_path, where)
    found = section.data["openness"]["components"]
    assert found["training_code"] == {
        "status": mof.INCLUDED,
        "where": "project: train.py",
        "licence": "MIT",
    }
    assert found["evaluation_code"]["status"] == mof.MISSING


CROISSANT = {
    "@context": {"sc": "https://schema.org/"},
    "@type": "sc:Dataset",
    "conformsTo": "http://mlcommons.org/croissant/1.0",
    "name": "corpus",
    "description": WORDS,
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "url": "https://example.com",
    "creator": {"name": "Example"},
    "datePublished": "2026-01-01",
    "distribution": [{}],
    "recordSet": [{}, {}],
}


def test_croissant_is_read(tmp_path: Path) -> None:
    facts = {"data/croissant.json": {"json": CROISSANT}, "other.json": {"json": {"a": 1}}}
    (found,) = croissant.described(facts)
    assert (found.version, found.lacks, found.files, found.sets) == ("1.0", (), 1, 2)
    section = survey({"data/croissant.json": b"x"}, facts, tmp_path)
    assert section.data["openness"]["components"]["data_card"]["where"] == "data/croissant.json"
    poor = {key: value for key, value in CROISSANT.items() if key not in {"license", "url"}}
    (found,) = croissant.described({"c.json": {"json": poor}})
    assert found.lacks == ("license", "url")


@pytest.mark.parametrize(
    "value",
    [[], 7, {}, {"conformsTo": 7}, {"conformsTo": ["x"], "@context": 1}, {"conformsTo": {}}],
)
def test_other_json_is_no_croissant(value: object) -> None:
    assert croissant.described({"x.json": {"json": value}}) == []


def test_licence_texts() -> None:
    root = Path(__file__).resolve().parents[3]
    assert evidence.licence_of_text((root / "LICENSE").read_text()) == "Apache-2.0"
    assert evidence.licence_of_text(MIT) == "MIT"
    assert (
        evidence.licence_of_text(MIT.replace("Example", "Example. All rights reserved.")) == "MIT"
    )
    assert evidence.licence_of_text("All rights reserved.") == ""


@pytest.mark.parametrize(
    ("text", "name", "opened"),
    [
        (HALF, f"MIT{evidence.CHANGED}", None),
        (MIT + "\nNobody may use it to make money.\n", f"MIT{evidence.CHANGED}", None),
        ("See the Apache License 2.0.", f"Apache-2.0{evidence.NAMED}", None),
        ("We chose CC-BY-NC-4.0.", f"cc-by-nc-4.0{evidence.NAMED}", False),
    ],
)
def test_a_licence_with_changes_is_not_taken_for_it(
    text: str, name: str, opened: bool | None
) -> None:
    assert evidence.licence_of_text(text) == name
    assert mof.openness(name) is opened


def test_a_changed_licence_counts_before_the_word_of_the_card(tmp_path: Path) -> None:
    facts = {
        "README.md": {"text": FULL, "card": {"license": "mit"}},
        "LICENSE": {"text": HALF},
    }
    section = survey(OPEN_SCIENCE, facts, tmp_path)
    assert section.data["openness"]["class"] is None
    assert section.data["openness"]["components"]["parameters"]["status"] == mof.NO_LICENCE
    facts["LICENSE"] = {"text": MIT}
    facts["README.md"]["card"] = {"license": "cc-by-nc-4.0"}
    section = survey(OPEN_SCIENCE, facts, tmp_path)
    assert section.data["openness"]["components"]["parameters"]["status"] == mof.NOT_OPEN


def test_two_licences_in_one_text() -> None:
    root = Path(__file__).resolve().parents[3]
    name = evidence.licence_of_text(MIT + "\n\n" + (root / "LICENSE").read_text())
    assert name == "MIT and Apache-2.0"
    assert mof.openness(name) is True
    assert mof.openness("MIT and cc-by-nc-4.0") is False
    assert mof.openness("MIT and acme") is None
    assert mof.suits("MIT and BSL-1.0", "data")


@settings(max_examples=150, deadline=None)
@given(
    st.text(
        alphabet=st.sampled_from("#*-=`<>![]{}() \nab:_.TODO|~")
        | st.characters(codec="utf-8", max_codepoint=0x2FFF),
        max_size=400,
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["license", "datasets", "tags", "a.b"]), inner)
        ),
        max_leaves=8,
    ),
)
def test_any_card_is_judged(text: str, front: object) -> None:
    metadata = front if isinstance(front, dict) else {}
    said = card.judge(text, metadata)
    assert len(said) == 15
    assert 0 <= card.points(said) <= 100
    shown = evidence.Shown(["a.py"], {"LICENSE": text}, text, "README.md", metadata, ())
    assert mof.classify(evidence.components(shown)).reached == 0
    assert said == card.judge(text, metadata)


def test_a_long_hostile_card_is_read_in_few_steps() -> None:
    for piece in ("# Limitations\n", "<!--", "**a:** ", "```\n", "[" * 50, "{{", "a\n-\n"):
        text = piece * (card.MAX_TEXT // len(piece))
        assert len(card.judge(text, {})) == 15


def test_the_section_is_the_same_each_time(tmp_path: Path) -> None:
    facts = {"README.md": {"text": FULL, "card": {"license": "apache-2.0"}}}
    one = survey(OPEN_SCIENCE, facts, tmp_path)
    assert json.dumps(one.data) == json.dumps(survey(OPEN_SCIENCE, facts, tmp_path).data)
