"""The GPUs of this machine, as nvidia-smi lists them."""

from kf_spawner.localcluster.node import hardware, registration


def test_gpus_as_nvidia_smi_lists_them() -> None:
    listing = "0, NVIDIA H100 80GB HBM3\n1, NVIDIA H100 80GB HBM3\n"
    assert [(gpu.index, gpu.product) for gpu in hardware.parse_gpus(listing)] == [
        (0, "NVIDIA H100 80GB HBM3"),
        (1, "NVIDIA H100 80GB HBM3"),
    ]
    assert hardware.parse_gpus("No devices were found\n") == []
    labels = registration.node_labels("n", hardware.parse_gpus(listing))
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
