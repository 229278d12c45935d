"""The checks of an audit: what each asks, what a PASS means, and what even a PASS does not prove."""

from __future__ import annotations

from hsm_app.evidence.verdict import Check

CHECKS = (
    Check(
        "script-digest",
        "The ceremony was played from the script and plan that are published here, step by step.",
        "That they were published before the ceremony: compare the digest with the announcement.",
    ),
    Check(
        "transcript-chain",
        "The transcript is whole: every line follows the one before, and it has begun and ended.",
        "That what it says happened: that is what people and the token sign.",
    ),
    Check(
        "signatures",
        "Every file is the one that the first token, or the new one, and the participants signed; none is left over.",
        "Who holds the participants' keys: ask them.",
    ),
    Check(
        "custodian-threshold",
        "At least as many custodians as a threshold needs sign that the script was followed and the record is true.",
        "That custodians kept their sheets to themselves.",
    ),
    Check(
        "key-attributes",
        "By the record, each token holds its three keys, with the rights that they should have, and nothing else.",
        "That the record is true: it is what the ceremony's program read from the token.",
    ),
    Check(
        "key-binding",
        "The keys of the fleet are those that the transcript and the tokens' records show; of the others where a token "
        "was replaced, those of the evidence before.",
        "That the private halves are where the record says: only a device's maker can vouch for that.",
    ),
    Check(
        "software-digest",
        "The program that ran is, file by file, the one in the wheel that you gave.",
        "That the machine told the truth about what it ran.",
    ),
    Check(
        "attestation-chain",
        "Makers vouch, up to the roots that you gave, that the identity key of each token that was made here lives in "
        "a device of theirs.",
        "That the fleet's root and the link keys live there too; which program asks the devices to use keys.",
    ),
    Check(
        "sealed",
        "By the record, no root can leave its token, and no token takes the custodians' PIN any more.",
        "That a device has no way around its own rules.",
    ),
    Check(
        "manifest",
        "The manifest lists this fleet with these keys, and names this evidence.",
        "That clients see the same manifest, and no later one: bring theirs; that all see one is what the log is for.",
    ),
    Check(
        "log-inclusion",
        "The manifest is in the public log, signed by the auditor and the operator whom you believe.",
        "That the log shows everybody the same: witnesses and monitors see to that.",
    ),
    Check(
        "exceptions",
        "The ceremony went by the script without an exception, and nobody objects.",
        "That nobody kept quiet.",
    ),
)
