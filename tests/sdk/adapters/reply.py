"""What the adapters answer: plain values, the same whichever SDK was asked."""

from dataclasses import dataclass, field
from typing import Optional

from requests.structures import CaseInsensitiveDict


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status, code, message, request_id, headers, fields=None):
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.headers = CaseInsensitiveDict(headers or {})
        self.fields = dict(fields or {})


@dataclass
class Reply:
    status: int
    headers: CaseInsensitiveDict
    body: bytes = b""

    @property
    def etag(self):
        """With its quotes, as it is on the wire."""
        return self.headers["ETag"]

    @property
    def crc64(self):
        return int(self.headers["x-oss-hash-crc64ecma"])


@dataclass
class Entry:
    key: str
    size: int
    etag: str
    kind: str
    storage_class: str
    last_modified: object
    owner_id: Optional[str] = None


@dataclass
class Listing:
    entries: list
    prefixes: list
    truncated: bool
    #: NextMarker of ListObjects, NextContinuationToken of ListObjectsV2.
    next: Optional[str]
    key_count: Optional[int] = None

    @property
    def keys(self):
        return [entry.key for entry in self.entries]


@dataclass
class Part:
    number: int
    etag: str
    size: Optional[int] = None


@dataclass
class Upload:
    key: str
    upload_id: str


@dataclass
class Page:
    """A page of parts or of uploads."""

    items: list
    truncated: bool
    next: object = None
    next_upload_id: Optional[str] = None


@dataclass
class Bucket:
    """What GetBucketInfo, GetBucketStat and ListBuckets say, as far as both SDKs read it."""

    name: str = ""
    location: str = ""
    storage_class: str = ""
    extranet_endpoint: str = ""
    intranet_endpoint: str = ""
    acl: str = ""
    versioning: Optional[str] = None
    extra: dict = field(default_factory=dict)
