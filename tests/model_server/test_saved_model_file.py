"""What the notebook server's extension reads in SavedModels of a real TensorFlow, without TensorFlow."""

from kf_spawner.extension import saved_model_file
from kf_spawner.serving.saved_model import foreign_ops, problem


def test_the_extension_reads_what_tensorflow_writes(models):
    keras = saved_model_file.read(models / "keras" / "1" / "saved_model.pb")
    assert [(set(graph.tags), "serving_default" in graph.signatures) for graph in keras] == [({"serve", "gpu"}, True)]
    assert {"MatMul", "StatefulPartitionedCall", "Softmax"} <= keras[0].ops
    mute = saved_model_file.read(models / "mute" / "1" / "saved_model.pb")
    assert "no signature to call" in problem(mute)
    assert problem(keras) == foreign_ops(keras) == ""
