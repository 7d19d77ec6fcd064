"""Signatures and the clock: what is let in, what is refused and how."""

import pytest

from adapters import Refused

MINUTE = 60


@pytest.fixture
def stored(oss):
    oss.put("dir/key", b"body")
    return oss


def test_an_unknown_key_id(stored, refused):
    with refused(403, "InvalidAccessKeyId"):
        stored.but(key_id="LTAInobody").get("dir/key")


def test_a_wrong_secret(stored, refused):
    with refused(403, "SignatureDoesNotMatch"):
        stored.but(secret="another").get("dir/key")
    with refused(403, "SignatureDoesNotMatch"):
        stored.but(secret="another").put("dir/key", b"forged")
    assert stored.get("dir/key").body == b"body"


def test_nobody(stored, refused):
    with refused(403, "AccessDenied"):
        stored.but(key_id=None).get("dir/key")


def test_a_security_token_is_part_of_the_signature(stored):
    with_token = stored.but(token="CAISsecurityToken+/==")
    with_token.put("token", b"x", metadata={"colour": "blue"})
    assert with_token.get("token").body == b"x"
    assert with_token.list(prefix="token").keys == ["token"]


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_skewed_clock(stored, refused, minutes):
    with refused(403, "RequestTimeTooSkewed"):
        stored.get_skewed("dir/key", minutes * MINUTE)


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_within_fifteen_minutes(stored, minutes):
    assert stored.get_skewed("dir/key", minutes * MINUTE).status == 200


def test_a_skewed_client_learns_the_time(stored):
    with pytest.raises(Refused) as error:
        stored.get_skewed("dir/key", 20 * MINUTE)
    assert "Date" in error.value.headers


@pytest.mark.parametrize("region", ["cn-beijing"])
def test_the_region_is_part_of_v4(sandbox, stored, region):
    elsewhere = stored.but(region=region)
    if stored.version == "v1":
        assert elsewhere.get("dir/key").body == b"body"
        return
    with pytest.raises(Refused) as error:
        elsewhere.get("dir/key")
    assert error.value.status in (400, 403)
    assert error.value.code in ("SignatureDoesNotMatch", "InvalidArgument", "AuthorizationHeaderMalformed")


def test_additional_headers_are_signed(v2):
    """V1 has no such thing: there the option changes nothing."""
    signing = v2.but(additional_headers=["content-length", "host"])
    signing.put("key", b"x")
    assert signing.get("key").body == b"x"


@pytest.mark.parametrize("value", [
    "", "OSS", "OSS nobody", "OSS :", "OSS4-HMAC-SHA256", "OSS4-HMAC-SHA256 Credential=,Signature=", "Bearer x",
    "OSS4-HMAC-SHA256 Credential=a/b/c/d/e/f/g,Signature=zz", "Basic dXNlcjpwYXNz", "OSS " + "a" * 5000 + ":x",
])
def test_a_malformed_authorization(sandbox, stored, value):
    status, _, body = sandbox.request("GET", f"/{stored.bucket}/dir/key", headers={
        "Authorization": value, "Date": "Thu, 01 Jan 2015 00:00:00 GMT"})
    assert status in (400, 403)
    assert b"<Error>" in body


def test_errors_are_whole_documents(stored):
    with pytest.raises(Refused) as error:
        stored.get("missing")
    fields = error.value.fields
    assert {"Code", "Message", "RequestId", "HostId"} <= set(fields)
    assert error.value.request_id == fields["RequestId"] == error.value.headers["x-oss-request-id"]


def test_a_mismatch_shows_what_was_signed(stored):
    with pytest.raises(Refused) as error:
        stored.but(secret="another").get("dir/key")
    assert "StringToSign" in error.value.fields
    assert "another" not in str(error.value.fields)
