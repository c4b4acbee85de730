"""Everything the web process is made of, wired once. Routes find it at `app.state.desk`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from fastapi import Request

from conveyor.keys import Signer
from review_api.audit_client import AuditLog
from review_api.commands.accounts import Accounts
from review_api.commands.attempts import Attempts
from review_api.commands.bulk import Bulk
from review_api.commands.claims import Claims
from review_api.commands.comments import Comments
from review_api.commands.company_sign_in import CompanySignIn
from review_api.commands.conduct import Watch
from review_api.commands.control_items import ControlItems
from review_api.commands.decide import Decide
from review_api.commands.drafts import Drafts
from review_api.commands.evidence_export import EvidenceExport
from review_api.commands.judgement import Judge
from review_api.commands.keep import Keep
from review_api.commands.labels import Labels
from review_api.commands.look import Look
from review_api.commands.operate import Operate
from review_api.commands.people import People
from review_api.commands.policing import Policing
from review_api.commands.reentry import Reentry
from review_api.commands.sign_in import SignIn
from review_api.commands.stops import Stops
from review_api.commands.take_back import TakeBack
from review_api.forensics import Forensics
from review_api.hint import Hint
from review_api.listing import Listing
from review_api.measures import Measures
from review_api.policies import Policies
from review_api.policy import Policy
from review_api.provider import Provider
from review_api.sessions import Sessions
from review_api.settings import ApiSettings
from review_api.snapshots import Snapshots
from review_api.store import Store
from review_api.target_states import TargetStates


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Use cases and the connections they share."""

    store: Store
    hint: Hint
    snapshots: Snapshots
    policies: Policies
    decide: Decide
    bulk: Bulk
    take_back: TakeBack
    keep: Keep
    claims: Claims
    comments: Comments
    drafts: Drafts
    look: Look
    listing: Listing
    labels: Labels
    measures: Measures
    sessions: Sessions
    sign_in: SignIn
    company: CompanySignIn | None
    reentry: Reentry
    people: People
    accounts: Accounts
    policing: Policing
    watch: Watch
    control_items: ControlItems
    operate: Operate
    stops: Stops
    target_states: TargetStates
    audit_log: AuditLog
    evidence_export: EvidenceExport
    forensics: Forensics
    secure: bool

    @property
    def policy(self) -> Policy:
        """Return the newest policy that this process has heard of: for pages, not for deciding."""
        return self.policies.latest

    async def open(self) -> None:
        """Begin to connect."""
        await self.store.open()
        await self.hint.open()
        self.policies.open()
        self.stops.open()

    async def close(self) -> None:
        """Close every connection."""
        await self.stops.close()
        if self.company is not None:
            await self.company.close()
        await self.policies.close()
        await self.hint.close()
        await self.snapshots.close()
        await self.target_states.close()
        await self.audit_log.close()
        await self.store.close()


def build(settings: ApiSettings) -> Desk:
    """Wire the desk. Reads keys and configuration; connects to nothing.

    Raises:
        OSError, ValueError: a key or configuration file is missing or cannot be used.
    """
    store = Store(settings.database, settings.pool)
    hint = Hint(settings.database)
    digester = settings.digester()
    policies = Policies(store, settings.read_policy())
    targets = settings.read_targets()
    token = settings.service_token_file.read_text("utf-8").strip()
    snapshots = Snapshots(store=store, targets=targets, token=token)
    states = TargetStates(targets=targets, token=token)
    audit_log = AuditLog(settings.audit_url, token)
    signing: Final[dict[str, Any]] = {
        "store": store,
        "hint": hint,
        "signer": Signer.load(settings.decision_key_file),
        "digester": digester,
    }
    window = timedelta(seconds=settings.proof_seconds)
    attempts = Attempts(store=store, hint=hint, digester=digester)
    reentry = Reentry(store=store, attempts=attempts, window=window)
    sign_in = SignIn(store=store, hint=hint, digester=digester, attempts=attempts)
    decide = Decide(
        **signing,
        judge=Judge(digester=digester, targets=targets, proof_window=window),
        policies=policies,
    )
    return Desk(
        store=store,
        hint=hint,
        snapshots=snapshots,
        policies=policies,
        decide=decide,
        bulk=Bulk(
            store=store, decide=decide, digester=digester, reasons=lambda: policies.latest.reasons
        ),
        take_back=TakeBack(**signing),
        keep=Keep(store=store, digester=digester),
        comments=Comments(store=store, digester=digester),
        drafts=Drafts(store),
        claims=Claims(store=store, digester=digester),
        look=Look(store=store, snapshots=snapshots, states=states, digester=digester),
        listing=Listing(store),
        labels=Labels(
            store=store,
            hint=hint,
            digester=digester,
            hold=timedelta(seconds=max((one.hold for one in targets.values()), default=0)),
        ),
        measures=Measures(store),
        sessions=Sessions(store),
        sign_in=sign_in,
        company=_company(settings, store=store, hint=hint, digester=digester, sign_in=sign_in),
        reentry=reentry,
        people=People(store=store, digester=digester),
        accounts=Accounts(store=store, hint=hint, digester=digester),
        policing=Policing(
            store=store,
            hint=hint,
            digester=digester,
            targets=targets,
            initial=settings.policy_text(),
        ),
        watch=Watch(store),
        control_items=ControlItems(store=store, hint=hint, digester=digester),
        operate=Operate(store=store, hint=hint, digester=digester),
        stops=Stops(store=store, hint=hint, digester=digester, targets=targets),
        target_states=states,
        audit_log=audit_log,
        evidence_export=EvidenceExport(store=store, hint=hint, digester=digester, log=audit_log),
        forensics=Forensics(store),
        secure=settings.secure,
    )


def _company(settings: ApiSettings, **parts: Any) -> CompanySignIn | None:
    company = settings.company()
    if company is None:
        return None
    callback = f"{settings.public_url.rstrip('/')}/review/oidc/callback"
    return CompanySignIn(provider=Provider(company, callback), **parts)


def desk_of(request: Request) -> Desk:
    """Return the desk that serves `request`."""
    desk: Desk = request.app.state.desk
    return desk
