"""What the cold store is told by the environment, for the service and for commands alike."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from audit_sink.cold.bucket import FLOOR, Account, Lock, Mode
from audit_sink.cold.manifest import MAX_BATCH
from audit_sink.cold.place import OpenCold, bucket_of, open_cold
from audit_sink.tree import WIDTH
from audit_sink.window import parse_age

_MAX_SECRET: int = 4_096


def _age(value: object) -> object:
    return parse_age(value) if isinstance(value, str) else value


Age = Annotated[timedelta, BeforeValidator(_age)]


class ColdSettings(BaseSettings):
    """Read from `PLACET_COLD*`, `PLACET_ARCHIVE_*` and `PLACET_HOT_PERIOD`."""

    model_config = SettingsConfigDict(env_prefix="PLACET_", frozen=True, extra="ignore")

    cold: str | None = None
    """A folder, or `s3://bucket/prefix`. None: nothing is archived."""
    cold_endpoint: str | None = None
    """URL of an S3 server that is not AWS."""
    cold_region: str | None = None
    cold_key_id: str | None = None
    cold_secret_file: Path | None = None
    """File with the secret key of `cold_key_id`; without both, as AWS's own tools find them."""
    cold_lock_mode: Mode = "COMPLIANCE"
    cold_lock_days: int = Field(default=366, ge=FLOOR.days, le=36_500)
    """How long nobody may delete an archive. Less than six months is refused."""
    archive_after: Age = timedelta(days=1)
    """Age at which records are copied to the cold store."""
    archive_batch: int = Field(default=16 * WIDTH, ge=WIDTH, le=MAX_BATCH)
    """Records in one archive, at most."""
    hot_period: Age = timedelta(days=90)
    """Age at which payloads leave the hot store, once archived and checked."""

    @field_validator(
        "cold", "cold_endpoint", "cold_region", "cold_key_id", "cold_secret_file", mode="before"
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("cold")
    @classmethod
    def _a_place(cls, value: str | None) -> str | None:
        if value is not None and "://" in value:
            bucket_of(value)
        return value

    def object_lock(self) -> Lock:
        """Return how objects are locked."""
        return Lock(mode=self.cold_lock_mode, period=timedelta(days=self.cold_lock_days))

    def store_account(self) -> Account:
        """Return who asks.

        Raises:
            OSError: the file with the secret cannot be read.
        """
        secret = None
        if self.cold_secret_file is not None:
            with self.cold_secret_file.open("rb") as file:
                secret = file.read(_MAX_SECRET).decode().strip()
        return Account(
            endpoint=self.cold_endpoint,
            region=self.cold_region,
            key_id=self.cold_key_id,
            secret=secret,
        )

    def open_cold(self, *, create: bool = False, place: str | None = None) -> OpenCold:
        """Open the store, or the one at `place` with the same account.

        Raises:
            ValueError: none is named.
            FileProblemError, OSError: it is not there.
        """
        where = place or self.cold
        if where is None:
            raise ValueError("no cold store is named: PLACET_COLD=FOLDER or s3://BUCKET/PREFIX")
        return open_cold(where, self.store_account(), self.object_lock(), create=create)
