"""Why a record was parked. One closed list, so that a typo fails the type checker."""

from enum import StrEnum


class Reason(StrEnum):
    """The reason codes of dead letters. Codes are for ever; texts may change."""

    UNREADABLE = "UNREADABLE"  # the bytes follow none of the three framings
    TRUNCATED = "TRUNCATED"  # Avro ends early, or goes on after its end
    UNKNOWN_SCHEMA = "UNKNOWN_SCHEMA"  # a fingerprint or schema id nobody here knows
    BAD_JSON = "BAD_JSON"  # begins like JSON and is none
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    BAD_TYPE = "BAD_TYPE"  # a field of another type than the schema says
    BAD_VALUE = "BAD_VALUE"  # right type, impossible value
    NOT_FINITE = "NOT_FINITE"  # NaN or infinity
    BAD_TEXT = "BAD_TEXT"  # U+0000, a lone surrogate, invalid UTF-8
    RECORD_TOO_LARGE = "RECORD_TOO_LARGE"
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    TOO_MANY_RETRIEVALS = "TOO_MANY_RETRIEVALS"
    TOO_MANY_FIELDS = "TOO_MANY_FIELDS"
    NO_FIELDS = "NO_FIELDS"  # a change that changes nothing
    BAD_FIELD_VALUE = "BAD_FIELD_VALUE"  # a field's value is not JSON text
    IDENTIFIER_TOO_LONG = "IDENTIFIER_TOO_LONG"
    BAD_IDENTIFIER = "BAD_IDENTIFIER"  # not the target's canonical form
    UNKNOWN_TARGET = "UNKNOWN_TARGET"  # no dispatcher owns it
    PII_IN_IDENTIFIER = "PII_IN_IDENTIFIER"
    REVISION_REUSED = "REVISION_REUSED"  # same revision, other content
    ITEM_DECIDED = "ITEM_DECIDED"  # a higher revision of a decided item
    KEY_REUSED = "KEY_REUSED"  # same id, other content
    BAD_SIGNATURE = "BAD_SIGNATURE"
    ERASED = "ERASED"  # the subject's key is destroyed
