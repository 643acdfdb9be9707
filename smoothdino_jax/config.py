"""Every field of an experiment with its default. The files in `configs/` start from here."""

from ml_collections import ConfigDict


def default_config() -> ConfigDict:
    """The defaults, locked: a field that does not exist is an error, in a file and on the command line."""
    config = ConfigDict()
    config.seed = 0
    # Evaluation: more rows, of the adapter denied its past in several ways and of averages over time of the frozen
    # model's depth, which a temporal method has to beat.
    config.ablations = False

    config.model = model = ConfigDict()
    # A model folder (from `smoothdino convert` or from training), "tiny-synthetic" for the embedded one, or
    # "" to start from random weights with `encoder` and `decoder` below.
    model.checkpoint = "tiny-synthetic"
    # Fields of EncoderConfig and DecoderConfig, used with checkpoint="" alone.
    model.encoder = ConfigDict()
    model.decoder = ConfigDict()
    model.dtype = "float32"  # compute: "float32" or "bfloat16"
    model.window = True  # Hann window in the phase correlation; False for the paper's form
    model.keep_adapter = False  # go on training the checkpoint's adapter instead of a new one
    model.adapter = adapter = ConfigDict()
    adapter.inputs = ("current", "previous", "shift", "response")
    adapter.hidden = 0  # channels of the hidden layer; 0 for the encoder's width
    adapter.class_token = "adapt"  # or "pass"
    adapter.memory = "encoded"  # what is kept of a frame; "adapted" makes the adapter recurrent
    adapter.init = "zero_output"  # or "released": every weight zero, so that biases alone train

    config.data = data = ConfigDict()
    data.source = ConfigDict({"name": ""})  # see smoothdino_jax.data.open_source; a config file sets it
    data.split = ConfigDict({"how": ""})  # see smoothdino_jax.data.make_split
    data.size = (0, 0)  # working (height, width); (0, 0) leaves the frames as they are
    data.clip_length = 2
    data.stride = 1  # frames from one frame of a clip to the next
    # Frames from the start of one training clip to the start of the next; clip_length * stride shares no frame.
    # Validation always streams through all frames.
    data.step = 1
    data.threads = 2  # that read and decode
    data.prefetch = 4  # batches held ready
    data.workers = 0  # processes for the above; 0 for none
    data.cache_bytes = 2**30  # of memory for decoded frames; in each of the workers, if there are any
    # A folder for the frozen encoder's features of the training frames, computed once instead of in every step;
    # "" for none. Made at the first training; refused for another encoder, size or frames (whose numbers are compared,
    # and the pixels of 16): delete it if you change pictures and nothing else.
    data.feature_cache = ""
    data.feature_dtype = "float16"  # of what is stored: or "bfloat16", "float32"
    data.augment = False
    # Fields of data.pipeline.Augment. With a feature cache, all but `reverse` must be 0.
    data.augmentation = ConfigDict(
        {
            "flip": 0.5,
            "reverse": 0.5,
            "brightness": 0.2,
            "contrast": 0.2,
            "gamma": 0.2,
            "colour": 0.1,
            "crop": 0.0,
            "noise": 0.0,
        }
    )

    config.train = train = ConfigDict()
    train.trainable = ("adapter",)  # any of "adapter", "decoder", "encoder"; ("all",) for all three
    train.batch_size = 10  # clips, over all devices
    train.epochs = 10.0
    train.steps = 0  # batches; overrides `epochs` unless 0
    train.optimizer = "adam"  # or "adamw"
    train.learning_rate = 1e-5
    train.weight_decay = 0.0  # with "adamw"
    train.schedule = "constant"  # or "cosine", to zero
    train.warmup_steps = 0  # optimiser updates: batches over `accumulate`
    train.clip_norm = 0.0  # of the gradient, globally; 0 for none
    train.accumulate = 1  # batches per optimiser step
    train.loss = "mse"  # or "log_l1"
    train.regulariser = "features"  # what λ weighs: change of "features" (paper) or of "depth" (released)
    train.regulariser_weight = 0.0  # λ; the paper's is 0.1
    train.validations_per_epoch = 4
    train.validation_steps = 0  # validate every so many batches; overrides `validations_per_epoch` unless 0
    train.validation_frames = 0  # at most so many; 0 for all
    train.checkpoints_to_keep = 2
    train.export = "last"  # which weights go to WORKDIR/model: "last" or "best" (by validation MSE)

    config.eval = evaluation = ConfigDict()
    evaluation.batch_size = 1  # streams side by side
    # Frames of a stream that are run but not scored; the first has no past, so it would say nothing of an
    # adapter. All rows are scored on the same frames.
    evaluation.warmup = 1
    evaluation.name = "adapter"  # the row of WORKDIR's own model
    evaluation.checkpoints = ""  # further rows: "name=folder,name=folder"
    # Which of the compared models gets the rows of `ablations`, by its name; "" for the last with an adapter.
    evaluation.ablated = ""
    evaluation.frames = 0  # to stream, about, warm-up included; 0 for all
    evaluation.measures = ("frame", "scale", "sharpness", "temporal")  # groups of metrics
    # Which readings count: between min_depth and max_depth (0 for no limit), metres, and within
    # crop, "none" or "eigen". Predictions are clamped to the limits.
    evaluation.min_depth = 0.0
    evaluation.max_depth = 0.0
    evaluation.crop = "none"
    # Judge at the size that the depth was recorded in, to which predictions are resized, instead of at data.size.
    evaluation.native_truth = False
    evaluation.resamples = 2000  # of scenes, for the confidence intervals; 0 for none
    evaluation.timing_frames = 20  # for latency; its 95th percentile asks for more
    evaluation.folder = "eval"  # in WORKDIR
    evaluation.pictures = True  # also what `smoothdino report` draws
    evaluation.picture_stream = 0  # which of the validation streams to draw
    return config.lock()
