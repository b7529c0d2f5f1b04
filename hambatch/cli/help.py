"""How every command looks and begins: options under headings, examples; settings are taken."""

import inspect
from collections.abc import Mapping
from typing import Any

import click

from hambatch.cli.settings import (
    OF_HAMBATCH,
    forget_variables,
    naming_origins,
    naming_settings,
    refuse_settings,
    settle_options,
)

OTHER = "Other options"

HEADINGS: Mapping[str, str] = {
    "Input": "data images archives all_formats null follow_symlinks source truth split table label "
    "top of_class predictions count series out_of_fold id_column label_column lesion_column map "
    "exclude_other_classes exclude_unlabelled",
    "Output": "out mkdir kind journal_dir overwrite retry_failed update rehash keep_ids sign html "
    "as_json plots dry_run rebuild",
    "Limits": "max_megabytes max_megapixels max_ratio min_side max_aspect decode_seconds "
    "salvage_truncated fail_over",
    "Engine and device": "engine device backend precision force tta calibration max_batch int8 "
    "workspace_megabytes hardware_compatible version_compatible",
    "Checks": "sentinel_every double_check sample gate against exclude_trained change percentile "
    "samples repeats max_seconds key",
    "Speed": "batch_size threads streams decode_threads readers prefetch model_cache "
    "hw_decoder_load preallocate cache xla mixed_precision",
}
"""Names of options by heading: an option stands under the same one in every command."""

_HEADING_OF = {name: heading for heading, names in HEADINGS.items() for name in names.split()}
_NUMBERS = {"integer": "N", "integer range": "N", "float": "X", "float range": "X"}


class Command(click.Command):
    """A command whose help has examples, and its options under headings.

    Parameters
    ----------
    examples
        Lines as they are typed, with ``#`` before what they do.
    headings
        Heading by name, of options that :data:`HEADINGS` lacks or has elsewhere.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: str = "",
        headings: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self._examples = inspect.cleandoc(examples)
        self._headings = {**_HEADING_OF, **(headings or {})}
        for option in self.params:
            if isinstance(option, click.Option) and not option.is_flag:
                option.metavar = option.metavar or _NUMBERS.get(option.type.name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, with what variables and the configuration file set."""
        settle_options(ctx)
        with naming_origins(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        refuse_settings(ctx)
        forget_variables()
        with naming_settings(ctx):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the options heading by heading."""
        if self._examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self._examples.splitlines()))
        found: dict[str, list[tuple[str, str]]] = {}
        shared = [x for x in ctx.find_root().command.params if x.opts[0] in OF_HAMBATCH]
        for option in [*shared, *self.get_params(ctx)]:
            record = option.get_help_record(ctx)
            if record and isinstance(option, click.Option):
                found.setdefault(self._headings.get(option.name or "", OTHER), []).append(record)
        order = [*HEADINGS, *(heading for heading in found if heading != OTHER), OTHER]
        for heading in sorted(found, key=order.index):
            with formatter.section(heading):
                formatter.write_dl(found[heading])


class Group(click.Group):
    """A command of several, such as `hambatch bench`."""

    command_class = Command
