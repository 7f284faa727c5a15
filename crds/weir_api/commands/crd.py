"""`weir crd`: the CustomResourceDefinition of this version."""

import click

from weir_api.crd import as_yaml, definition


@click.group()
def crd() -> None:
    """The resource definition that Kubernetes needs once."""


@crd.command("print")
def print_() -> None:
    """Print it as YAML, for `kubectl apply --server-side -f -`."""
    click.echo(as_yaml(definition()), nl=False)
