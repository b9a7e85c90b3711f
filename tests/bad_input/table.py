"""Bad input for every entry point: (command, words, what the one line says).

Words are paths in the folder that `scene.py` makes, where the commands run.
"""

from tests.bad_input.scene import COCO_FAULTS

TRAIN = {
    "pretrain": "core.pretrain",
    "pose": "apps.pose.train",
    "style": "apps.style.train",
    "cloud": "apps.pointcloud.train",
    "view": "apps.crossview.train",
}
EVAL = {
    "pose": "apps.pose.eval",
    "style": "apps.style.eval",
    "cloud": "apps.pointcloud.eval",
    "view": "apps.crossview.eval",
}
PREDICT = {
    "pose": "apps.pose.predict",
    "style": "apps.style.predict",
    "cloud": "apps.pointcloud.predict",
    "view": "apps.crossview.predict",
}
COMPARE = {
    "pose": "apps.pose.compare",
    "style": "apps.style.compare",
    "cloud": "apps.pointcloud.compare",
    "view": "apps.crossview.compare",
}
EMBEDDED = {
    "apps.pose.people.__main__": ("train", "val", "workers"),
    "apps.style.paintings.__main__": ("train", "val", "size", "workers"),
    "apps.pointcloud.solids.__main__": ("train", "val", "test", "points", "workers"),
    "apps.crossview.towns.__main__": ("train", "val", "size"),
}

# settings that every training has, then those of one app: a value that none means
NUMBERS = [
    ("run.clip", "-1"),
    ("run.clip", "nan"),
    ("run.ema", "2"),
    ("run.seed", "-1"),
    ("run.steps", "-1"),
    ("run.batch-size", "0"),
    ("run.accumulate", "-2"),
    ("run.log-every", "-1"),
    ("run.keep-best", "-1"),
    ("run.schedule.warmup", "-1"),
    ("optim.lr", "-1"),
    ("optim.lr", "inf"),
    ("optim.weight-decay", "-1"),
    ("optim.layer-decay", "0"),
    ("eval.batch-size", "0"),
]
NUMBERS_OF = {
    "pretrain": [("train.workers", "-1"), ("augment.randaugment", "100"), ("held-out", "0")],
    "pose": [
        ("augment.half-body", "3"),
        ("augment.flip", "-1"),
        ("augment.rotation", "-1"),
        ("augment.rotation", "nan"),
        ("augment.shift", "-1"),
        ("augment.turn", "2"),
        ("augment.colour", "7"),
        ("augment.occlusion", "1.5"),
        ("embedded.train", "0"),
        ("embedded.val", "-1"),
        ("embedded.seed", "-1"),
        ("data.workers", "-1"),
        ("data.workers", "100000"),
        ("data.skip-bad", "-1"),
        ("model.sigma", "0"),
        ("model.sigma", "nan"),
        ("model.simcc-split", "0"),
        ("model.simcc-split", "-1"),
        ("model.simcc-maps", "0"),
        ("model.mixer-depth", "-1"),
        ("model.mixer-depth", "99999999"),
        ("model.mixer-width", "0"),
        ("model.stochastic-depth", "1"),
    ],
    "style": [
        ("data.val-share", "0"),
        ("data.val-share", "1"),
        ("data.val-share", "-0.5"),
        ("data.seed", "-1"),
        ("data.long-tail", "0.5"),
        ("data.long-tail", "nan"),
        ("data.max-pixels", "-1"),
        ("data.skip-bad", "-1"),
        ("data.workers", "-1"),
        ("data.buffer", "0"),
        ("data.retries", "-1"),
        ("embedded.train", "0"),
        ("embedded.val", "0"),
        ("embedded.size", "0"),
        ("embedded.size", "1000000"),
        ("embedded.seed", "-1"),
        ("loss.tau", "-1"),
        ("loss.gamma", "-1"),
        ("augment.flip", "2"),
        ("model.image-size", "0"),
    ],
    "cloud": [
        ("data.outputs", "0"),
        ("data.mesh-points", "0"),
        ("data.skip-bad", "-1"),
        ("data.workers", "-1"),
        ("embedded.train", "0"),
        ("embedded.val", "-2"),
        ("embedded.seed", "-1"),
        ("corruption.points", "0"),
        ("corruption.points", "-5"),
        ("corruption.noise", "-1"),
        ("corruption.outliers", "2"),
        ("corruption.outliers", "-1"),
        ("corruption.bias", "nan"),
        ("corruption.holes", "-1"),
        ("corruption.hole-radius", "-1"),
        ("scan.share", "2"),
        ("scan.views", "0"),
        ("scan.pose", "-1"),
        ("scan.smallest", "0"),
        ("scan.clusters", "-1"),
        ("model.voxel-length", "0"),
        ("model.channels", "0"),
        ("model.hourglasses", "-1"),
        ("model.hourglasses", "99999999"),
        ("model.depth", "-1"),
        ("model.depth", "99"),
        ("model.neighbours", "0"),
        ("model.blocks", "-1"),
        ("model.blocks", "99999999"),
        ("model.points", "0"),
        ("loss.occupancy", "-1"),
        ("loss.chamfer", "nan"),
        ("loss.near", "0"),
    ],
    "view": [
        ("data.split-seed", "-1"),
        ("data.void", "-2"),
        ("data.bits", "0"),
        ("data.bits", "40"),
        ("data.enlarge", "0.5"),
        ("data.enlarge", "-1"),
        ("data.workers", "-1"),
        ("data.skip-bad", "-1"),
        ("embedded.train", "0"),
        ("embedded.val", "0"),
        ("embedded.seed", "-1"),
        ("model.width", "0"),
        ("model.candidates", "0"),
        ("model.selection-width", "0"),
        ("model.dropout", "1.5"),
        ("model.blocks", "-1"),
        ("model.blocks", "99999999"),
        ("model.depth", "-1"),
        ("model.depth", "99999999"),
        ("model.patch", "0"),
        ("model.fusion", "-1"),
        ("model.fusion", "99999999"),
        ("discriminator.width", "0"),
        ("discriminator.halvings", "-1"),
        ("discriminator.halvings", "99"),
        ("loss.image", "-1"),
        ("loss.adversarial", "-1"),
        ("loss.total-variation", "nan"),
        ("d-optim.lr", "-1"),
    ],
}
PAIRS_OF = {
    "pose": [("augment.scale", "-1 1"), ("augment.scale", "11 12"), ("model.image-size", "0 48")],
    "view": [("data.size", "0 32"), ("data.size", "-32 32"), ("data.size", "100000 32")],
}

# what every training refuses, and how
TRAININGS = [
    ("nonsense", "there is no preset"),
    ("debug --run.precision fp16", "fp16 needs a GPU"),
    ("debug --run.trackers tensorbord", "no 'tensorbord'"),
    ("debug --run.batch-size 7 --run.accumulate 2", "batch_size 7 cannot be shared"),
    ("debug --run.steps 0", "either --run.steps or --run.epochs"),
    ("debug --run.folder no_run", "no_run exists already"),
    ("debug --run.folder no_run --run.resume", "not the folder of a run"),
    ("debug --run.folder a_file", "a_file"),
    ("debug --run.folder a_file/below", "a_file"),
    ("debug --optim.name adan", "no optimizer 'adan'"),
    ("debug --optim.name timm:nothing", "nothing"),
]

MEMORY = "GiB of memory at least, and there are .*: choose a smaller"
DATA = {
    "pretrain": [
        ("--train.root gone", "gone"),
        ("--train.root nothing", "nothing"),
        ("--train.root a_file", "a_file"),
        ("--train.root one_class", "one class"),
        ("--train.root shards", "shards"),
        ("--train.root bad.npz", "bad.npz"),
        ("--train.root objects.npz", "objects.npz"),
        ("--train.root strange.npz", "strange.npz"),
        ("--train.root hub:", "hub"),
        ("--train.root shards-{0..99999999999}.tar", "shards"),
        ("--val.root gone", "gone"),
        ("--model.backbone mixer_x16", "mixer_x16"),
        ("--model.backbone timm:nothing_at_all", "nothing_at_all"),
        ("--run.batch-size 1000000000", "a batch of 1,000,000,000 samples takes"),
        ("--model.backbone mixer_c0_l2_p8", "hidden_dim is 0"),
        ("--model.backbone mixer_c999999999_l2_p8", MEMORY),
        ("--model.backbone mixer_c99999_l2_p8", MEMORY),
        ("--model.backbone mixer_c16_l999999999_p8", "num_blocks is 999999999; choose"),
        ("--model.backbone vit_c16_l999999999_p8", "blocks is 999999999; choose"),
        ("--model.image-size 100000", f"image_size 100000x100000: .*{MEMORY}"),
        ("--model.backbone convmlp_s --model.image-size 100000", MEMORY),
        ("--model.image-size 33", "33"),
        ("--model.image-size 1 2 3", "image"),
        ("--model.weights gone", "gone"),
        ("--model.weights bad.pth", "bad.pth"),
        ("--model.weights bad.safetensors", "bad.safetensors"),
        ("--model.weights bad.npz", "bad.npz"),
        ("--model.weights no_run", "no_run"),
        ("--model.weights text.png", "text.png"),
        ("--model.resize nothing", "resize"),
        ("--protocol nothing", "protocol"),
        ("--distill.teacher mixer_x16", "mixer_x16"),
        ("--distill.teacher mixer_s16 --distill.weights gone", "gone"),
        ("--transfer.root gone", "gone"),
        ("--transfer.recipe nothing", "nothing"),
        ("--growth.start 2", "growth"),
    ],
    "pose": [
        ("--data.root gone", "gone"),
        ("--data.root nothing", "nothing"),
        ("--data.root coco --data.keypoints gone.yaml", "gone.yaml"),
        ("--data.sets nothing_known", "nothing_known"),
        ("--data.sets coco=gone", "gone"),
        ("--data.sets bad.yaml", "bad.yaml"),
        ("--data.sets people --data.shares -1", "shares"),
        ("--data.sets people --data.shares 1 2", "shares"),
        ("--model.backbone mixer_x16", "mixer_x16"),
        ("--model.weights gone", "gone"),
        ("--model.levels 9", "levels"),
        ("--model.levels -1", "levels"),
        ("--model.image-size 64 50", "50"),
        ("--model.image-size 100000 100000", MEMORY),
        ("--model.mixer-depth 1 --model.mixer-width 9999999", MEMORY),
    ],
    "style": [
        ("--data.root gone", "gone"),
        ("--data.root nothing", "nothing"),
        ("--data.csv gone.csv", "gone.csv"),
        ("--data.csv paintings/missing.csv", "missing"),
        ("--data.csv paintings/one_class.csv", "one"),
        ("--data.csv paintings/header.csv", "header.csv"),
        ("--data.csv paintings/split.csv", "holdout"),
        ("--data.csv paintings/ragged.csv", "ragged.csv"),
        ("--data.csv paintings/nameless.csv", "nameless.csv"),
        ("--data.csv paintings/headless.csv", "headless.csv"),
        ("--data.csv paintings/binary.csv", "binary.csv"),
        ("--data.csv paintings/empty.csv", "empty.csv"),
        ("--data.csv paintings/long.csv", "long.csv"),
        ("--data.csv nothing", "nothing"),
        ("--data.root one_class", "one"),
        ("--data.root hub:", "hub"),
        ("--data.root bad.npz", "bad.npz"),
        ("--data.lists gone", "gone"),
        ("--data.classes 27", "root"),
        ("--model.backbone mixer_x16", "mixer_x16"),
        ("--model.weights gone", "gone"),
        ("--protocol nothing", "protocol"),
    ],
    "cloud": [
        ("--data.root gone", "gone"),
        ("--data.root nothing", "nothing"),
        ("--data.root a_file", "a_file"),
        ("--data.root bad.npz", "bad.npz"),
        ("--data.root objects.npz", "objects.npz"),
        ("--data.root clouds", "clouds"),
        ("--model.operator nothing", "nothing"),
        ("--mixer-weights gone", "gone"),
        ("--model.operator core_mixer --mixer-weights bad.npz", "bad.npz"),
        ("--scan.smallest 3", "scan"),
        ("--model.channels 10000000", MEMORY),
    ],
    "view": [
        ("--data.root gone", "gone"),
        ("--data.root nothing", "nothing"),
        ("--data.root a_file", "a_file"),
        ("--data.root panels", "palette.yaml"),
        ("--data.root panels --data.palette gone.yaml", "gone.yaml"),
        ("--data.root panels --data.palette panels/list.yaml", "list.yaml"),
        ("--data.root panels --data.palette panels/colour.yaml", "colour.yaml"),
        ("--data.root panels --data.palette panels/one.yaml", "palette"),
        ("--data.root panels --data.palette panels/same.yaml", "same.yaml"),
        ("--data.root panels --data.palette panels/word.yaml", "word.yaml"),
        ("--data.root panels --data.lists gone --data.palette cvusa", "gone"),
        ("--data.root nothing --data.layout cvusa", "nothing"),
        ("--data.root nothing --data.layout cvact", "nothing"),
        ("--data.root nothing --data.layout folders --data.palette cvusa", "nothing"),
        ("--model.generator mixer --model.backbone mixer_x16", "mixer_x16"),
        ("--model.generator mixer --model.weights gone", "gone"),
        ("--model.width 9999999", MEMORY),
        ("--discriminator.width 9999999", MEMORY),
    ],
}
POSE_YAMLS = ("list", "names", "few", "sigma", "pair", "field", "bone")

# what every evaluation and prediction says of RUN; {run} is a run of the app
RUNS = [
    ("gone", "gone"),
    ("nothing", "nothing|no run is named"),
    ("a_file", "a_file|no run is named"),
    ("no_run", "no_run|no run is named"),
    ("{run}_no_checkpoint", "no_checkpoint"),
    ("{run}_bad_yaml", "config.yaml"),
    ("{run}_deep_yaml", "config.yaml"),
    ("{run}_other_field", "runn"),
    ("{run}_empty_yaml", "config.yaml"),
    ("{run}_binary_yaml", "config.yaml"),
    ("{run}_tag_yaml", "config.yaml"),
    ("{run}_range_yaml", "clip"),
    ("{run}_type_yaml", "clip"),
    ("{run}_twice_yaml", "run comes twice, in lines 1 and 2"),
    ("{run}_bad_json", "config.json"),
    ("{run}_list_json", "config.json"),
    ("{run}_null_json", "config.json"),
    ("{run}_step_json", "its step is 'many'"),
    ("{run}_metrics_json", r"its metrics are \[1\]"),
    ("{run}_number_json", "number_json"),
    ("{run}_no_json", "no whole checkpoint"),
    ("{run}_cut_weights", "model.safetensors"),
    ("{run}_empty_weights", "model.safetensors"),
    ("{run}_huge_header", "model.safetensors"),
    ("{run}_no_weights", "holds no weights"),
    ("{run}_flipped", "model.safetensors"),
    ("{other}", "is a network of apps/.*predict.py and eval.py take it"),
]
EVALUATIONS = [
    ("", "RUN|run"),
    ("{run} --eval.batch-size 0", "--eval.batch-size"),
    ("{run} --eval.batch-size -3", "--eval.batch-size"),
    ("{run} --data.workers -1", "--data.workers"),
    ("{run} --data.root gone", "gone"),
]
EVALUATIONS_OF = {
    "pose": [
        ("pose_diverged", "the network gives scores that are not finite"),
        ("pose --onnx gone.onnx", "gone.onnx"),
        ("pose --onnx bad.onnx", "bad.onnx"),
        ("pose --onnx bad.onnx --flip-test", "flip"),
        ("pose --images-json gone.json", "boxes"),
        ("pose --images-json gone.json --boxes list.json --data.root coco", "gone.json"),
        ("pose --model.sigma 3", "model.sigma"),
        ("pose --data.sets nothing_known", "nothing_known"),
        ("pose --data.root coco --data.val-json good.json --data.val-images images", "keypoints"),
    ],
    "style": [
        ("style --data.csv gone.csv", "gone.csv"),
        ("style --data.root one_class", "split"),
        ("style --data.csv paintings/header.csv", "header.csv"),
    ],
    "cloud": [
        ("cloud_diverged --no-baselines", "the network keeps no voxel"),
        ("cloud --suite nothing", "'nothing'"),
        ("cloud --root gone", "suite"),
        ("cloud --suite modelnet10 --root gone", "gone"),
        ("cloud --suite embedded --data.outputs 3", "data.outputs"),
    ],
    "view": [("view --data.palette gone.yaml --data.root panels", "gone.yaml")],
}
PREDICTIONS = [
    ("{run} gone.png --output out", "gone.png"),
    ("{run} nothing --output out", "nothing"),
    ("{run} http://a.b/c.png --output out", "http://a.b/c.png: nothing is fetched"),
    ("{run} good.png --output=", "--output: is empty"),
    ("{run} --count 0", "count"),
    ("{run} --count -1", "count"),
    ("{run} --count many", "count"),
    ("{run} --nonsense", "nonsense"),
]
PICTURES = ("empty.png", "text.png", "cut.png", "script.png", "text.heic", "page.html")
HUGE = ("huge.png", "huge.jpg")  # by their headers
CLOUDS = [
    "empty.ply",
    "text.ply",
    "cut.ply",
    "huge.ply",
    "list.ply",
    "nan.xyz",
    "one.xyz",
    "same.xyz",
    "words.xyz",
    "two.csv",
    "empty.xyz",
    "bad.off",
    "bad.obj",
    "bad.pcd",
    "bad.npz",
    "bad.npy",
    "bad.bin",
    "bad.las",
    "bad.stl",
    "cloud.zzz",
    "objects.npz",
    "strange.npz",
    "good.png",
]
BOXES = {
    "gone": "gone",
    "list": "list.json",
    "cut": "cut.json",
    "deep": "deep.json",
    "null": "null.json",
    "binary": "binary.json",
    "boxes_empty": "boxes_empty.json",
    "boxes_three": "bbox",
    "boxes_words": "bbox",
    "boxes_other": "good.png|other.png",
    "boxes_low": "score",
    "boxes_nothing": "file_name",
}
PREDICTIONS_OF = {
    "pose": [
        *((f"pose good.png --output out --boxes {n}.json", words) for n, words in BOXES.items()),
        ("pose good.png --output out --detector gone.onnx", "gone.onnx"),
        ("pose good.png --output out --detector bad.onnx", "bad.onnx"),
        ("pose good.png --output out --detector nothing", "nothing"),
        ("pose good.png --output out --detector fasterrcnn --boxes list.json", "both"),
        ("pose good.png --output out --detector-weights x", "detector"),
        ("pose good.png --output out --keypoints tail", "tail"),
        ("pose good.png --output out --batch-size 0", "batch-size"),
        ("pose good.png --output out --batch-size -1", "batch-size"),
        ("pose good.png --output out --min-box-score nan", "min-box-score"),
        ("pose good.png --output out --min-score nan", "min-score"),
        ("pose good.png --output out --min-score 5", "min-score"),
        ("pose good.png --output out --min-box-score -1", "min-box-score"),
        ("pose good.png --output out --coco good.png", "good.png"),
        ("pose good.png --output out --coco list.json", "list.json exists already"),
        ("pose good.png --output a_file", "a_file"),
        ("pose bad.mp4 --output out", "bad.mp4"),
        ("pose empty.mp4 --output out", "empty.mp4"),
        ("pose --webcam 99 --output out", "99"),
        ("pose --boxes list.json", "inputs"),
        ("nowhere good.png", "nowhere"),
    ],
    "style": [
        ("style good.png --output a_file", "a_file"),
        ("style_diverged good.png --output out", "good.png: .*gives logits .* not finite"),
    ],
    "cloud": [
        ("cloud_diverged good.xyz --output out", "good.xyz: the network keeps no voxel"),
        ("cloud good.xyz --output out --points -1", "points"),
        ("cloud good.xyz --output out --points 99999999999", "points"),
        ("cloud good.xyz --output out --resolution -1", "resolution"),
        ("cloud good.xyz --output out --resolution nan", "resolution"),
        ("cloud good.xyz --output out --method nothing", "method"),
        ("cloud good.xyz --output a_file", "a_file"),
        ("gone.xyz --method mls --output out", "gone.xyz"),
        ("--method mls", "mls without a RUN: give clouds, meshes or folders"),
    ],
    "view": [
        ("view good.png --output out --map gone.png", "gone.png"),
        ("view good.png --output out --map text.png", "text.png"),
        ("view good.png --output out --map good.png", "good.png"),
        ("view good.png --output out --map nothing", "nothing"),
        ("view good.png --output out --map huge.png", "map huge.png: .*raise --max-pixels"),
        ("view good.png --output out --map grey.png --max-pixels -1", "max-pixels"),
        ("view good.png --output out --bits 40", "bits"),
        ("view good.png --output out", "map"),
    ],
}
COMPARISONS = [
    ("nonsense", "preset"),
    ("--seeds -1", "seeds"),
    ("--seeds", "seeds"),
    ("--base.run.clip -1", "--base.run.clip"),
    ("--base.optim.lr -1", "--base.optim.lr"),
    ("--out a_file/below", "a_file"),
]
COMPARISONS_OF = {
    "pose": [
        ("--variants nothing", "nothing"),
        ("--backbones mixer_x16", "mixer_x16"),
    ],
    "style": [
        ("--optimizers adan", "adan"),
        ("--balancing nothing", "nothing"),
        ("--models mixer_x16", "mixer_x16"),
    ],
    "cloud": [("--operators nothing", "nothing"), ("--suites nothing", "nothing")],
    "view": [("--rows nothing", "nothing"), ("--weights gone", "weights")],
}
CORE_EVAL = [
    ("nothing", "no evaluation"),
    ("classification --model.weights style --data.root gone", "gone"),
    ("classification --eval.batch-size 0", "--eval.batch-size"),
    ("classification --eval.batch-size -1", "--eval.batch-size"),
    ("classification --data.root paintings", "no weights given"),
    ("classification --model.weights gone --data.root paintings", "gone"),
    ("classification --protocol nothing --model.weights style --data.root paintings", "nothing"),
    ("classification --model.weights style --data.root one_class", "class"),
    (
        "classification --model.weights style_diverged --data.root paintings",
        "logits that are not finite",
    ),
    ("classification --model.weights style --data.root paintings --real-labels gone", "gone"),
    (
        "classification --model.weights style --data.root paintings --data.max-pixels 10",
        "more than 10: raise --data.max-pixels",
    ),
    ("suite --max-pixels -1", "--max-pixels"),
    ("suite --tasks gone.yaml", "gone.yaml"),
    ("suite --tasks bad.yaml", "bad.yaml"),
    ("suite --data nothing", "nothing"),
    ("suite --runs nothing=gone", "nothing"),
    ("fewshot --shots -1", "--shots"),
    ("fewshot --seeds 0", "--seeds"),
    ("fewshot --l2 -1", "--l2"),
    ("fewshot --train.root gone --test.root gone --model.weights style", "gone"),
    ("shuffle --models nothing --train.root paintings --test.root paintings", "nothing"),
    ("shuffle --patch -1", "--patch"),
    ("grids --sizes 0", "--sizes"),
    ("grids --methods nothing --model.weights style --data.root paintings", "nothing"),
    ("mixing --model.weights gone", "gone"),
    ("mixing --model.weights style --blocks 99", "99"),
    ("mixing --units -1", "--units"),
    ("throughput --models nope", "nope"),
    ("throughput --batch-size -1", "--batch-size"),
    ("throughput --models mixer_c999999_l2_p8", MEMORY),
    ("throughput --models mixer_c16_l999999999_p8", "num_blocks is 999999999"),
    ("throughput --repeats 0", "--repeats"),
    ("throughput --models mixer_s16 --reference nope", "nope"),
    ("memory --models nope", "nope"),
    ("memory --models mixer_c999999999_l2_p8", MEMORY),
    ("memory --models mixer_c16_l999999999_p8", "num_blocks is 999999999"),
    ("memory --gpus 0", "--gpus"),
    ("memory --classes -1", "--classes"),
    ("export --formats nothing", "formats"),
    ("export --model.weights gone", "gone"),
    ("export --images 0", "--images"),
    ("export --min-agreement 2", "--min-agreement"),
    ("export --model.weights style --out a_file", "a_file"),
]
OTHERS = [
    ("core.predict", "huge.png --output out", "huge.png.* 50,000,000: raise --max-pixels"),
    ("core.predict", "huge.jpg --output out --max-pixels 0", "Pillow's own limit: set --max-pix"),
    (
        "core.predict",
        "good.png --output out --max-pixels 100",
        "60 x 40 .* 100: raise --max-pixels",
    ),
    ("core.predict", "good.png --output out --max-pixels -1", "max-pixels"),
    ("core.predict", "style good.png --output out --image-size 100000", MEMORY),
    ("apps.style.probe", "debug --run.steps 3", "run.steps"),
    ("apps.style.probe", "debug --run.resume", "run.resume"),
    ("apps.style.probe", "debug --data.csv gone.csv", "gone.csv"),
    ("apps.style.probe", "debug --optim.lr 0.5", "optim"),
    ("apps.style.probe", "nothing", "preset"),
    ("apps.style.probe", "debug --data.val-share 0", "--data.val-share"),
    ("apps.pose.export", "gone", "gone"),
    ("apps.pose.export", "style", "style"),
    ("apps.pose.export", "pose --output good.png", "good.png"),
    ("apps.pose.export", "pose --int8 --layout rtmlib", "layout"),
    ("apps.pose.export", "pose --int8 --max-loss nan", "max-loss"),
    ("apps.pose.export", "pose --int8 --max-loss -1", "max-loss"),
    ("apps.pose.export", "pose --output a_file/x.onnx", "a_file"),
    ("apps.pose.export", "pose_flipped", "model.safetensors"),
    ("apps.pose.keep", "gone --data a --terms b", "gone"),
    ("apps.pointcloud.keep", "gone --data a --terms b", "gone"),
    ("apps.pointcloud.keep", "style --data a --terms b --name fresh", "style"),
    ("apps.pointcloud.keep", "cloud --data a --terms b --name ../x", "../x"),
    ("apps.pointcloud.classify", "debug --data.root gone.npz", "gone.npz"),
    ("apps.pointcloud.classify", "debug --data.test nothing --data.root cut.npz", "cut.npz"),
    ("apps.pointcloud.classify", "debug --model.operator pointmixr", "Did you mean pointmixer"),
    ("apps.pointcloud.classify", "debug --model.blocks 1 1 1", "model.blocks"),
    ("apps.pointcloud.classify", "debug --run.best topp1", "topp1"),
    ("apps.pointcloud.classification.compare", "debug --operators pointmixr", "pointmixr"),
    ("apps.pointcloud.classification.compare", "debug --seeds 0 0", "seeds"),
    ("apps.pose.keep", "style --data a --terms b --name fresh", "style"),
    ("apps.pose.keep", "pose --data a --terms b --name ../x", "../x"),
    ("apps.pose.keep", "pose --data a --terms b --name x --evaluations gone.json", "gone.json"),
    ("apps.pose.keep", "pose --data a --terms b --name x --evaluations cut.json", "cut.json"),
    ("core.models.weights.keep", "gone --name x --data a --terms b", "gone"),
    ("core.models.weights.keep", "style --name imagenet1k --data a --terms b", "imagenet1k"),
    (
        "core.models.weights.keep",
        "style --name x --data a --terms b --evaluations list.json --out nothing",
        "list.json",
    ),
    ("core.training.curves", "gone", "gone"),
    ("core.training.curves", "nothing", "nothing"),
    ("core.data.fractals.__main__", "nothing", "preset"),
    ("core.data.fractals.__main__", "sheet --rows 0", "--rows"),
    ("core.data.fractals.__main__", "sheet --columns -1", "--columns"),
    ("core.data.fractals.__main__", "sheet --out good.png", "good.png"),
    ("core.data.fractals.__main__", "sheet --out x.zzz --rows 1 --columns 1", "zzz"),
    ("core.data.fractals.__main__", "write --workers -1", "--workers"),
    ("core.data.fractals.__main__", "write --what.data.classes 0", "classes"),
    ("core.data.fractals.__main__", "write --root a_file", "a_file"),
    ("apps.pose.data.sigmas", "gone.json list.json", "gone.json"),
    ("apps.pose.data.sigmas", "list.json list.json", "list.json"),
    ("apps.pose.data.sigmas", "coco/good.json cut.json", "cut.json"),
    ("apps.pose.evaluation.boxes", "gone.onnx --json coco/good.json --images coco/images", "gone"),
    ("apps.pose.evaluation.boxes", "bad.onnx --json coco/good.json --images coco/images", "bad"),
    ("apps.pose.evaluation.steps", "gone --set coco=coco", "gone"),
    ("apps.pose.evaluation.steps", "pose --set nothing_known", "nothing_known"),
    ("apps.pose.evaluation.steps", "pose --set coco=gone --workers -1", "workers"),
    ("apps.pose.evaluation.tracking", "gone", "gone"),
    ("apps.pose.evaluation.tracking", "--seconds -1", "seconds"),
    ("apps.pose.evaluation.tracking", "--fps 0", "fps"),
    ("apps.pose.evaluation.tracking", "--people 0", "people"),
    ("apps.pose.evaluation.tracking", "--miss 2", "miss"),
    ("apps.pose.evaluation.tracking", "--noise nan", "noise"),
    ("apps.pose.evaluation.tracking", "--seed -1", "seed"),
    ("apps.pose.evaluation.baselines", "debug --data.root gone", "gone"),
    ("apps.pointcloud.evaluation.suites", "nothing", "nothing"),
    ("apps.pointcloud.evaluation.suites", "modelnet10 --root gone", "gone"),
    ("apps.pointcloud.evaluation.benchmark", "nothing", "nothing"),
    ("apps.crossview.data.splits", "gone.txt gone2.txt", "gone.txt"),
    ("apps.crossview.data.splits", "a_file a_file --seed -1", "seed"),
    ("apps.crossview.data.splits", "good.png good.png", "good.png"),
    ("apps.crossview.evaluation.leave_one_out", "gone", "gone"),
]


def _numbers():
    for app, main in TRAIN.items():
        for name, value in NUMBERS + NUMBERS_OF[app]:
            yield main, f"debug --{name}={value}", f"--{name} is .*; choose"
        for name, values in PAIRS_OF.get(app, []):
            yield main, f"debug --{name} {values}", f"--{name} is"


def _trainings():
    for app, main in TRAIN.items():
        for words, said in TRAININGS:
            yield main, words, said
        yield main, "debug --run.best nothing", "run.best"
        for words, said in DATA[app]:
            yield main, f"debug {words} --run.folder out", said
    for fault in COCO_FAULTS:
        if fault != "good":
            words = f"--data.root coco --data.train-json {fault}.json --data.train-images images"
            words += f" --data.val-json {fault}.json --data.val-images images"
            yield TRAIN["pose"], f"debug {words} --run.folder out --run.best= ", f"{fault}.json"
    words = "--data.root coco --data.train-json good.json --data.train-images images --run.best= "
    words += "--data.val-json good.json --data.val-images images --data.max-pixels 10"
    yield TRAIN["pose"], f"debug {words} --run.folder out", "more than 10: raise --data.max-pixels"
    words = "debug --data.root panels --data.palette cvusa --data.max-pixels 10 --run.folder out"
    yield TRAIN["view"], words, "more than 10: raise --data.max-pixels"
    for name in POSE_YAMLS:
        words = "--data.root coco --data.train-json good.json --data.train-images images"
        words += f" --data.val-json good.json --data.val-images images --data.keypoints {name}.yaml"
        yield TRAIN["pose"], f"debug {words} --run.folder out", f"{name}.yaml"


def _opened():
    apps = list(EVAL)
    for number, app in enumerate(apps):
        other = apps[number - 1]
        for words, said in RUNS:
            words = words.format(run=app, other=other)
            yield EVAL[app], words, said
            if app == "cloud" and words not in ("a_file", "no_run"):  # inputs of a kept network
                yield PREDICT[app], f"{words} good.xyz", said
        for words, said in EVALUATIONS:
            if not (words == "" and app in ("pose", "cloud", "view")):  # kept
                yield EVAL[app], words.format(run=app), said
        for words, said in PREDICTIONS:
            yield PREDICT[app], words.format(run=app), said
        for words, said in EVALUATIONS_OF[app]:
            yield EVAL[app], words, said
        for words, said in PREDICTIONS_OF[app]:
            yield PREDICT[app], words, said
        for file in CLOUDS if app == "cloud" else PICTURES:
            tail = " --map grey.png" if app == "view" else ""
            yield PREDICT[app], f"{app} {file} --output out{tail}", file
        for file in HUGE if app != "cloud" else ():
            tail = " --map grey.png" if app == "view" else ""
            said = f"{file}.*60000 x 60000 pixels are more than 50,000,000: raise --max-pixels"
            yield PREDICT[app], f"{app} {file} --output out{tail}", said
        for words, said in COMPARISONS + COMPARISONS_OF[app]:
            yield COMPARE[app], words if words == "nonsense" else f"debug {words}", said


def _further():
    for words, said in CORE_EVAL:
        yield "core.eval", f"{words} --out out" if "--out" not in words else words, said
    for main, names in EMBEDDED.items():
        for name in names:
            yield main, f"write --root out --{name}=-1", name
        yield main, "write --root out --seed=-1", "seed"
        yield main, "write --root a_file", "a_file"
        yield main, "sheet --columns=0", "columns"
        yield main, "sheet --seed=-1", "seed"
        yield main, "sheet --out=good.png", "good.png"
        yield main, "nothing", "preset"
    yield from OTHERS


CASES = [*_numbers(), *_trainings(), *_opened(), *_further()]
PROCESSES = [
    ("core.eval", "throughput --models nope", "nope"),
    ("core.pretrain", "debug --run.clip=-1", "--run.clip"),
]
