"""The composition root: the only room that knows every other room."""

from keelmark.app.admission import (
    admit,
    find_passport,
    list_models,
    verify_passport,
)
from keelmark.app.calibrate import Sample, calibrate, calibration_text, stored_samples
from keelmark.app.encoder import encoder_vetted
from keelmark.app.engines import Settings, fetch_model
from keelmark.app.exports import FORMS as EXPORT_FORMS
from keelmark.app.exports import export_passport
from keelmark.app.home import (
    Home,
    data_folder,
    load_policy,
    make_guard,
    policy_notes,
    policy_text,
    value_key,
)
from keelmark.app.judgement import explain
from keelmark.app.moving import move_store
from keelmark.app.proof import newest_checkpoint, newest_records, report, verify_ledger
from keelmark.app.registry import vet_each
from keelmark.app.replay import replay, replay_text
from keelmark.app.routes import check_routes, drawn, health_at
from keelmark.app.service import create_key, serve
from keelmark.app.vetting import asked, compare
from keelmark.app.wording import policy_in_words

__all__ = [
    "EXPORT_FORMS",
    "Home",
    "Sample",
    "Settings",
    "admit",
    "asked",
    "calibrate",
    "calibration_text",
    "check_routes",
    "compare",
    "create_key",
    "data_folder",
    "drawn",
    "encoder_vetted",
    "explain",
    "export_passport",
    "fetch_model",
    "find_passport",
    "health_at",
    "list_models",
    "load_policy",
    "make_guard",
    "move_store",
    "newest_checkpoint",
    "newest_records",
    "policy_in_words",
    "policy_notes",
    "policy_text",
    "replay",
    "replay_text",
    "report",
    "serve",
    "stored_samples",
    "value_key",
    "verify_ledger",
    "verify_passport",
    "vet_each",
]
