"""MLP-Pose on an HRNet-W32 of ImageNet: fuse module in each of its branches, MLP-Mixer, SimCC.

A reconstruction (models/mlp_pose.py says of what); not run on COCO yet, so no AP is expected.
The paper reports 77.0 on val2017 and names neither backbone nor input size in what is public.
"""
# ruff: noqa: C408 - dict() as in all configs of mmpose

_base_ = ["./coco_256x192.py"]

codec = _base_.codec
optim_wrapper = dict(optimizer=dict(type="Adam", lr=1e-3))
model = dict(
    type="TopdownPoseEstimator",
    data_preprocessor=dict(
        type="PoseDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type="MixerBackbone",
        name="timm:hrnet_w32",
        head="",  # its four branches alone
        input_size=codec["input_size"],
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(type="Pretrained", checkpoint="timm"),
    ),
    neck=dict(
        type="MLPPoseNeck",
        in_channels=(32, 64, 128, 256),
        strides=(4, 8, 16, 32),
        input_size=codec["input_size"],
        fuse=True,
        depth=4,
        width=256,
    ),
    head=dict(
        type="SimCCHead",
        in_channels=32,
        out_channels=17,
        input_size=codec["input_size"],
        in_featuremap_size=(48, 64),
        simcc_split_ratio=codec["simcc_split_ratio"],
        deconv_out_channels=None,
        loss=dict(type="KLDiscretLoss", use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=True),
)
