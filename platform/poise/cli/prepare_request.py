"""Arguments and options of `poise data prepare`.

In: the words that the user typed. Out: ``PrepareOptions``. Next: ``poise.data.preparation.ingest``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from poise.data.sources.options import PrepareOptions

RangeOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--range",
        metavar="LOW HIGH",
        help="Values that become black and white in images of more than 8 bits per channel "
        "(default: the measured range of the images).",
    ),
]


@dataclass(frozen=True)
class PrepareRequest:
    """Arguments and options of `poise data prepare`."""

    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of images, with or without class folders; Parquet files (a file, a "
            "folder or a quoted pattern); torchvision:NAME[/SPLIT]; scenes or scenes-video (Poise "
            "draws them).",
        ),
    ]
    dest: Annotated[
        str, typer.Argument(metavar="DEST", help="Folder of the dataset, or its URI: s3://…")
    ]
    num_images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of scenes to draw (default: 10,000) or of frames (720), or size of a "
            "random subset.",
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the scenes or of the subset.")] = 0
    image_px: Annotated[
        int | None,
        typer.Option(help="Side of the scenes, in pixels (default: 32; of scenes-video: 64)."),
    ] = None
    value_range: RangeOption = None
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN|folders|none",
            help="Where the labels are: a column of the Parquet files; folders (each folder "
            "directly in SOURCE is a class); none (prepare without labels).",
        ),
    ] = None
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="images|parquet",
            help="Which files to use if a folder contains both.",
        ),
    ] = None
    list_file: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Take only the images that a text file names, one a line: paths or names, with or "
            "without suffix, or folders.",
        ),
    ] = None
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Masks, one for each image, with the same path but for the suffix. One channel: 0 "
            "is background, 1 to 254 are classes or objects, 255 is ignored.",
        ),
    ] = None
    mask_classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Names of the mask values 1, 2, …, one a line (default: none)."
        ),
    ] = None
    white: Annotated[
        str | None,
        typer.Option(
            metavar="object|ignore",
            help="The meaning of 255 in black-and-white masks. object: values from 128 on are the "
            "object.",
        ),
    ] = None
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Boxes in XML of Pascal VOC, one file for each image."),
    ] = None
    coco: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Boxes and outlines in JSON of COCO. Only images that it lists are taken.",
        ),
    ] = None
    sequences: Annotated[
        bool,
        typer.Option(
            "--sequences",
            help="Each folder of images is a video, its files in order are the frames.",
        ),
    ] = False
    annotated: Annotated[
        str | None,
        typer.Option(
            metavar="upright|stored",
            help="What masks and boxes refer to if EXIF turns an image (default: their size tells, "
            "or Poise asks).",
        ),
    ] = None

    def options(self) -> "PrepareOptions":
        """Returns the options: which images to use, and how to read them."""
        from poise.data.sources.options import PrepareOptions

        paths = ("list_file", "masks", "mask_classes", "boxes", "coco")
        texts = {name: str(path) for name in paths if (path := getattr(self, name)) is not None}
        return PrepareOptions(
            self.num_images,
            self.seed,
            self.image_px,
            self.value_range,
            self.label,
            self.format_,
            white=self.white,
            sequences=self.sequences,
            annotated=self.annotated,
            **texts,
        )
