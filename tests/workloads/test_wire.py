"""The words in the wire's types are those of the TFJob API."""

from typing import get_args

from kf_spawner.dashboard.job_detail import NO_POD, NO_POD_YET
from kf_spawner.tfjob import status
from kf_spawner.tfjob.defaults import CLEAN_POLICIES, RESTART_POLICIES, SUCCESS_POLICIES
from kf_spawner.tfjob.names import REPLICA_TYPES
from kf_spawner.workloads import wire


def test_the_words_are_those_of_the_tfjob_api():
    assert get_args(wire.ReplicaType) == REPLICA_TYPES
    assert get_args(wire.RestartPolicy) == RESTART_POLICIES
    assert get_args(wire.CleanPodPolicy) == CLEAN_POLICIES
    assert get_args(wire.SuccessPolicy) == SUCCESS_POLICIES
    conditions = {
        status.CREATED,
        status.RUNNING,
        status.RESTARTING,
        status.SUSPENDED,
        status.SUCCEEDED,
        status.FAILED,
    }
    assert set(get_args(wire.JobState)) == conditions | {"Pending", "Deleted"}
    assert {NO_POD, NO_POD_YET} <= set(get_args(wire.ReplicaState))
