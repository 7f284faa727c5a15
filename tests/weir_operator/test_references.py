"""What pods cannot start without: asked for seldom, and never taken for missing where nobody answered."""

import asyncio

import pytest
from existing import Existing

from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.cluster import ApiError
from weir_operator.references import MISSING_S, THERE_S, References, references_of

SPEC = StreamingPipelineSpec.model_validate(
    {
        "auth": {"apiKeysSecretRef": {"name": "keys"}},
        "runtime": {"imagePullSecrets": [{"name": "registry"}]},
        "model": {"cache": {"persistentVolumeClaim": "models"}},
    }
)


def test_references_are_all_that_pods_cannot_start_without():
    assert references_of(StreamingPipelineSpec()) == []
    assert references_of(SPEC) == [("Secret", "registry"), ("Secret", "keys"), ("PersistentVolumeClaim", "models")]


def test_what_is_there_is_asked_for_again_after_ten_minutes_and_what_is_missing_after_ten_seconds():
    cluster, now = Existing(("Secret", "registry"), ("PersistentVolumeClaim", "models")), [0.0]
    references = References(cluster, lambda: now[0])

    def missing():
        return asyncio.run(references.missing("n", SPEC))

    assert missing() == ("Secret keys",)
    assert len(cluster.asked) == 3
    now[0] = MISSING_S - 0.1
    assert missing() == ("Secret keys",)
    assert len(cluster.asked) == 3
    now[0] = MISSING_S
    cluster.there.add(("Secret", "keys"))
    assert missing() == ()
    assert cluster.asked[3:] == [("Secret", "keys")]
    now[0] = THERE_S - 0.1
    assert missing() == ()
    assert len(cluster.asked) == 4
    now[0] = THERE_S
    missing()
    assert len(cluster.asked) == 6


@pytest.mark.parametrize(("status", "missing"), [(403, ()), (503, None)])
def test_what_may_not_be_looked_at_is_not_missing_and_what_got_no_answer_is_asked_for_again(status, missing):
    class Refusing:
        async def metadata(self, kind, namespace, name):
            raise ApiError(status, "", "")

    asking = References(Refusing(), lambda: 0.0).missing("n", SPEC)
    if missing is None:
        with pytest.raises(ApiError):
            asyncio.run(asking)
    else:
        assert asyncio.run(asking) == missing
