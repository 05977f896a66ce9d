"""Options that take several values: `--roots a.pem b.pem` means the same as `--roots a.pem --roots b.pem`.

The further values are taken only once every argument of the command stands before the option, so that
`ctlog submit --intermediates ca.pem URL FILE` still says what it seems to say.
"""

from __future__ import annotations

import click


class ManyCommand(click.Command):
    """A command whose options with `multiple=True` may be followed by several values."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._spread(args))

    def _spread(self, args: list[str]) -> list[str]:
        options = {name: option for option in self.params if isinstance(option, click.Option) for name in option.opts}
        needed = sum(isinstance(param, click.Argument) for param in self.params)
        out: list[str] = []
        given = 0  # arguments so far
        rest = iter(args)
        repeat = ""  # the option to which a bare value belongs
        for word in rest:
            if word == "--":
                return [*out, word, *rest]
            option = options.get(word)
            if word.startswith("-") and word != "-":
                many = option is not None and option.multiple and option.nargs == 1
                repeat = word if many and given >= needed else ""
                out.append(word)
                takes = option.nargs if option is not None and not option.is_flag else 0
                out += [value for _, value in zip(range(takes), rest, strict=False)]
            elif repeat:
                out += [repeat, word]
            else:
                given += 1
                out.append(word)
        return out
