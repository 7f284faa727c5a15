"""What the chart lets the operator and users do: all that they need, and nothing else."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from weir_operator import names
from weir_operator.children import KINDS as CHILDREN
from weir_operator.kinds import KINDS

pytestmark = pytest.mark.cluster
Manifest = dict[str, Any]
Rendered = Callable[[dict[str, Any]], list[Manifest]]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def grants(manifests: list[Manifest]) -> Iterator[tuple[str, str, str, Manifest]]:
    """Role, resource with its group, verb, and the rule that grants it."""
    for role in of_kind(manifests, "Role") + of_kind(manifests, "ClusterRole"):
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        yield role["metadata"]["name"], f"{group}/{resource}", verb, rule


def test_no_right_is_a_wildcard_or_leads_to_more_rights(manifests: list[Manifest]):
    for _, resource, verb, rule in grants(manifests):
        assert "*" not in resource + verb
        assert verb not in ("escalate", "bind", "impersonate")
        assert not resource.startswith("rbac.authorization.k8s.io/")
        assert "nonResourceURLs" not in rule


def test_secrets_are_looked_up_by_name_and_made_and_never_listed_changed_or_deleted(manifests: list[Manifest]):
    granted = {verb for _, resource, verb, _ in grants(manifests) if resource == "/secrets"}
    assert granted <= {"get", "create"}


def test_roles_are_bound_to_the_account_that_the_pods_run_as(manifests: list[Manifest]):
    (deployment,) = of_kind(manifests, "Deployment")
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    roles = {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in manifests}
    for binding in of_kind(manifests, "RoleBinding") + of_kind(manifests, "ClusterRoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "weir-system"}]
        role = binding["roleRef"]
        namespace = binding["metadata"].get("namespace") if role["kind"] == "Role" else None
        assert (role["kind"], namespace, role["name"]) in roles
    made = [each["metadata"]["name"] for each in of_kind(manifests, "ServiceAccount")]
    assert made == ([account] if account != "mine" else [])


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["shop"]}])
def test_the_operator_may_do_all_that_its_children_take(rendered: Rendered, values: dict[str, Any]):
    manifests = rendered(values)
    granted = {(resource, verb) for _, resource, verb, _ in grants(manifests)}
    for kind in (*CHILDREN, "Pod"):
        group, slash, _ = KINDS[kind].api_version.rpartition("/")
        resource = f"{group if slash else ''}/{KINDS[kind].plural}"
        for verb in ("get", "list", "watch", "create", "patch", "delete"):
            assert (resource, verb) in granted
    for resource, verb in (
        ("weir.dev/streamingpipelines", "watch"), ("weir.dev/streamingpipelines/status", "patch"),
        ("weir.dev/streamingpipelines/scale", "patch"), ("/events", "create"), ("/persistentvolumeclaims", "get"),
        ("coordination.k8s.io/leases", "update"),
    ):  # fmt: skip
        assert (resource, verb) in granted
    named = {name for _, _, _, rule in grants(manifests) for name in rule.get("resourceNames", [])}
    assert named == {names.LEASE, names.SIGNING_SECRET}


def test_the_whole_cluster_takes_a_cluster_role_and_nodes(rendered: Rendered):
    manifests = rendered({})
    assert "ClusterRoleBinding" in {manifest["kind"] for manifest in manifests}
    assert ("/nodes", "watch") in {(resource, verb) for _, resource, verb, _ in grants(manifests)}


def test_with_namespaces_named_nothing_is_outside_of_namespaces(rendered: Rendered):
    values = {"watchNamespaces": ["shop", "news"], "rbac": {"userRoles": False}}
    manifests = rendered(values)
    assert not [manifest for manifest in manifests if manifest["kind"].startswith("Cluster")]
    assert {each["metadata"]["namespace"] for each in of_kind(manifests, "Role")} == {"weir-system", "shop", "news"}
    assert "/nodes" not in {resource for _, resource, _, _ in grants(manifests)}


def test_users_roles_are_aggregated_and_write_no_status(rendered: Rendered):
    roles = {each["metadata"]["name"]: each for each in of_kind(rendered({}), "ClusterRole")}
    view, edit = roles["weir-system-weir-operator-view"], roles["weir-system-weir-operator-edit"]
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert "streamingpipelines/status" not in [resource for rule in edit["rules"] for resource in rule["resources"]]
