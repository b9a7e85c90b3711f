"""Mixer-B/16 of ImageNet-21k, moved to the 16x12 grid of a 256x192 crop, and a SimCC head.

The AdamW and clipping of the app's own preset; not run on COCO yet, so no AP is expected.
"""
# ruff: noqa: C408 - dict() as in all configs of mmpose

_base_ = ["./coco_256x192.py"]

codec = _base_.codec
optim_wrapper = dict(
    optimizer=dict(type="AdamW", lr=5e-4, weight_decay=0.1),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
    clip_grad=dict(max_norm=1.0),
)
model = dict(
    type="TopdownPoseEstimator",
    # not ImageNet's mean and std: Mixers were trained on values in [-1, 1]
    data_preprocessor=dict(
        type="PoseDataPreprocessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True
    ),
    backbone=dict(
        type="MixerBackbone",
        name="mixer_b16",
        input_size=codec["input_size"],
        stochastic_depth=0.1,
        init_cfg=dict(type="Pretrained", checkpoint="imagenet21k"),
    ),
    head=dict(
        type="SimCCHead",
        in_channels=768,
        out_channels=17,
        input_size=codec["input_size"],
        in_featuremap_size=(12, 16),
        simcc_split_ratio=codec["simcc_split_ratio"],
        deconv_out_channels=None,
        loss=dict(type="KLDiscretLoss", use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=True),
)
