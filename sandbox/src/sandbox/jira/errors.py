"""Jira's error answers: two collections, one for the request, one per field."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

ISSUE_MISSING = "Issue does not exist or you do not have permission to see it."
NOT_JSON = "There was an error parsing JSON. Check that your request body is valid."
NOT_AUTHENTICATED = "Client must be authenticated to access this resource."


class JiraError(Exception):
    """Answered as Jira words it: `messages` about the request, `errors` about its fields."""

    def __init__(
        self,
        status: int,
        *messages: str,
        errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, messages, errors)
        self.status = status
        self.messages = messages
        self.errors = dict(errors or {})
        self.headers = dict(headers or {})

    def response(self) -> Response:
        body = {"errorMessages": list(self.messages), "errors": self.errors}
        return JSONResponse(body, self.status, self.headers)


class PlainJiraError(JiraError):
    """The servlet filters in front of Jira's REST layer answer in this other form."""

    def response(self) -> Response:
        body = {"message": " ".join(self.messages), "status-code": self.status}
        return JSONResponse(body, self.status, self.headers)


def issue_missing() -> JiraError:
    return JiraError(404, ISSUE_MISSING)


def field_error(name: str, message: str) -> JiraError:
    return JiraError(400, errors={name: message})


def property_missing(key: str) -> JiraError:
    return JiraError(404, f"The property with key '{key}' does not exist.")
