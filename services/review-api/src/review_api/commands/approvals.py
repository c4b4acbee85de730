"""The first approval of two: a signed statement that writes nothing yet.

Owns what is kept and told of it. Whether somebody may give one, and whether the second completes
it, is `judgement`'s. The statement is the decision's own, with one approver: the second approval
signs the same fields over the same values seen, or it starts over.
"""

from collections.abc import Mapping
from typing import Any

from contract.events import Action, Signature
from contract.identity import Digester
from contract.statement import Statement, to_text
from conveyor.keys import Signer
from review_api.approval import First
from review_api.commands.activity import About, Signed, activity
from review_api.commands.judgement import Order, Verdict
from review_api.commands.statements import deciding_role
from review_api.store import Actor

Row = Mapping[str, Any]


def first_of(row: Row) -> First | None:
    """Return the first approval in a row that has its columns; None where none counts."""
    if row["first_id"] is None:
        return None
    return First(
        approval_id=row["first_id"],
        person_id=row["first_person"],
        name=row["first_name"],
        role=row["first_role"],
        at=row["first_at"],
        text=row["first_statement"],
    )


def first_approval(
    statement: Statement,
    order: Order,
    actor: Actor,
    verdict: Verdict,
    *,
    version: int,
    signer: Signer,
    digester: Digester,
) -> dict[str, Any]:
    """Return what query `first_approve` takes but for the request's key, digest and answer."""
    text = to_text(statement)
    signature = Signature(key_id=signer.key_id, signature=signer.sign(text.encode()))
    about = About(
        item_id=statement.item_id,
        revision=statement.revision,
        correlation_id=statement.correlation_id,
        event_id=verdict.item.event_id,
    )
    told = activity(
        "FIRST_APPROVAL",
        about,
        actor,
        at=verdict.at,
        digester=digester,
        detail={} if verdict.action is Action.APPROVE else {"action": verdict.action.value},
        signed=[Signed(text=text, signature=signature)],
    )
    return told | {
        "item": order.item_id,
        "version": version,
        "state": verdict.state.value,
        "lane": verdict.lane.value,
        "policy_version": statement.policy_version,
        "revision": order.revision,
        "person": actor.person_id,
        "actor": actor.account_id,
        "name": actor.name,
        "role": deciding_role(actor).value,
        "at": verdict.at,
        "statement": text,
        "key_id": signature.key_id,
        "signature": signature.signature,
        "claim": order.claim_token,
        "edited": verdict.edited,
        "action": verdict.action.value,
        "written": verdict.action is Action.UNDO,
    }
