"""Certificates: who signed them, what they say, when they are replaced, and who can read the keys."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from kf_spawner.localcluster.controlplane import credentials, pki
from kf_spawner.localcluster.controlplane.pki import SERVER, Authority, Leaf, PkiError, signing_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ALICE = Leaf("alice", ("readers", "writers"))


def loaded(pair):
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def test_a_client_certificate_names_user_and_groups(tmp_path):
    authority = Authority(tmp_path, "ca")
    certificate = loaded(authority.issue("alice", ALICE))
    certificate.verify_directly_issued_by(loaded(authority.pair))
    subject = certificate.subject
    assert [each.value for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["alice"]
    groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [each.value for each in groups] == ["readers", "writers"]


def test_keys_are_the_owners_alone_even_where_they_were_not(tmp_path):
    pair = Authority(tmp_path, "ca").issue("alice", ALICE)
    signing_key(tmp_path, "tokens")
    tmp_path.chmod(0o755)
    for path in tmp_path.glob("*.key"):
        path.chmod(0o644)
    Authority(tmp_path, "ca").issue("alice", ALICE)
    signing_key(tmp_path, "tokens")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.key")} == {0o600}
    assert pair.key.exists()


@pytest.mark.parametrize(
    ("later", "leaf", "renewed"),
    [
        (timedelta(days=300), ALICE, False),
        (timedelta(days=306), ALICE, True),  # 59 days before its end
        (timedelta(days=400), ALICE, True),
        (timedelta(0), Leaf("alice", ("readers",)), True),
        (timedelta(0), Leaf("alice", ("readers", "writers"), usages=(SERVER,)), True),
        (timedelta(0), Leaf("alice", ("readers", "writers"), hosts=("127.0.0.1",)), True),
    ],
)
def test_a_certificate_is_renewed_only_when_it_must(tmp_path, later, leaf, renewed):
    first = Authority(tmp_path, "ca", now=NOW).issue("alice", ALICE)
    before = first.certificate.read_bytes(), first.key.read_bytes()
    again = Authority(tmp_path, "ca", now=NOW + later).issue("alice", leaf)
    after = again.certificate.read_bytes(), again.key.read_bytes()
    assert (after != before) is renewed
    assert loaded(again).not_valid_after_utc > NOW + later + timedelta(days=60)


def test_a_new_authority_signs_everything_anew(tmp_path):
    old = loaded(Authority(tmp_path, "ca", now=NOW).issue("alice", ALICE))
    much_later = Authority(tmp_path, "ca", now=NOW + timedelta(days=3600))
    new = loaded(much_later.issue("alice", ALICE))
    new.verify_directly_issued_by(loaded(much_later.pair))
    assert new.issuer != old.issuer


def test_an_incomplete_pair_is_replaced(tmp_path):
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("alice", ALICE)
    other = authority.issue("bob", Leaf("bob"))
    pair.key.write_bytes(other.key.read_bytes())
    certificate, key = pki._load(authority.issue("alice", ALICE))
    assert certificate.public_key() == key.public_key()


def test_a_damaged_authority_is_not_replaced_in_silence(tmp_path):
    authority = Authority(tmp_path, "ca")
    authority.pair.key.write_text("not a key")
    with pytest.raises(PkiError, match=r"remove the folder"):
        Authority(tmp_path, "ca")


def test_tokens_stay_valid_over_a_renewal(tmp_path):
    before = signing_key(tmp_path, "tokens").read_bytes()
    assert signing_key(tmp_path, "tokens").read_bytes() == before


def test_the_api_servers_clients_cannot_open_etcd(tmp_path):
    files = credentials.prepare(home=tmp_path, api_port=1, node_name="n")
    etcd_authority = loaded(pki.Pair(files.etcd_authority, files.etcd.key))
    for pair in (files.api_server_to_node, files.node_server):
        with pytest.raises(ValueError, match="Issuer"):
            loaded(pair).verify_directly_issued_by(etcd_authority)
    loaded(files.api_server_to_etcd).verify_directly_issued_by(etcd_authority)


def test_a_second_start_keeps_every_file(tmp_path):
    def contents():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    credentials.prepare(home=tmp_path, api_port=1, node_name="n")
    before = contents()
    credentials.prepare(home=tmp_path, api_port=1, node_name="n")
    assert contents() == before
    credentials.prepare(home=tmp_path, api_port=2, node_name="n")
    changed = {path.name for path, content in contents().items() if before[path] != content}
    assert "kubeconfig" in changed
    assert all(name.endswith("kubeconfig") for name in changed)
