"""log.v3.json: the members that log lists and programs look for."""

from __future__ import annotations

import base64
import hashlib
import json

from ctlog.config import parse
from ctlog.http.bulk import PREFIX
from ctlog.log_v3 import log_v3_json
from ctlog.sequencer.signer import SeedSigner, sign_head

SIGNER = SeedSigner("log.example/2026", bytes(32))
CONFIG = parse('origin = "log.example/2026"\ndescription = "d"\nmmd_s = 60\n'
               "window_start = 2026-01-01T00:00:00Z\nwindow_end = 2027-01-01T00:00:00+00:00\n")


def test_an_active_log() -> None:
    value = json.loads(log_v3_json(CONFIG, SIGNER.key, None))
    spki = base64.b64decode(value["key"])
    assert spki == SIGNER.key.spki
    assert base64.b64decode(value["log_id"]) == hashlib.sha256(spki).digest()
    assert value["submission_url"] == value["monitoring_url"] == "https://log.example/2026/"
    assert (value["description"], value["mmd"], value["status"]) == ("d", 60, "active")
    assert value["log_spec"] == "static-ct-api"
    assert f"/{value['bulk_submission_path']}" == PREFIX  # docs/bulk-submission.md
    assert value["temporal_interval"] == {"start_inclusive": "2026-01-01T00:00:00Z",
                                          "end_exclusive": "2027-01-01T00:00:00Z"}
    assert value["log_software"]["name"] == "ctlog"
    assert "final_tree_head" not in value


def test_a_log_without_a_window_has_no_interval() -> None:
    assert "temporal_interval" not in json.loads(log_v3_json(parse('origin = "a"'), SIGNER.key, None))


def test_a_log_that_has_ended_says_its_last_head() -> None:
    head = sign_head(SIGNER, 7, bytes(32), 5)
    value = json.loads(log_v3_json(CONFIG, SIGNER.key, head))
    assert value["status"] == "readonly"
    assert value["final_tree_head"] == {"sha256_root_hash": base64.b64encode(bytes(32)).decode(), "tree_size": 7}
