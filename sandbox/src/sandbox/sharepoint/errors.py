"""SharePoint's error answers: a result code, a .NET type and a message, in OData's envelope.

Many refusals come as 500, as from the real service: the code says what it is, not the status.
"""

from collections.abc import Mapping

QUERY = "-1, Microsoft.SharePoint.Client.InvalidClientQueryException"
SERVICE = "-1, Microsoft.SharePoint.Client.ClientServiceException"
ARGUMENT = "-2147024809, System.ArgumentException"
DENIED = "-2147024891, System.UnauthorizedAccessException"
DIGEST = "-2130575251, Microsoft.SharePoint.SPException"
DUPLICATE = "-2130575169, Microsoft.SharePoint.SPDuplicateValuesFoundException"
BAD_TEXT = "-2130575155, Microsoft.SharePoint.SPException"
NOT_FOUND = "-2147024894, System.IO.FileNotFoundException"


class SharePointError(Exception):
    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


class PlainError(SharePointError):
    """Answered by what stands in front of the REST service: text, or OAuth's own JSON."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        json: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, "", message, headers)
        self.json = json


def bad_query(message: str) -> SharePointError:
    return SharePointError(400, QUERY, message)


def item_missing() -> SharePointError:
    message = "Item does not exist. It may have been deleted by another user."
    return SharePointError(404, ARGUMENT, message)


def denied() -> SharePointError:
    message = (
        "Access denied. You do not have permission to perform this action or access this resource."
    )
    return SharePointError(403, DENIED, message)


def unknown_resource(name: str) -> SharePointError:
    return SharePointError(
        404, "-1, Microsoft.SharePoint.Client.ResourceNotFoundException",
        f"Cannot find resource for the request {name}.",
    )  # fmt: skip
