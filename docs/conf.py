"""
Sphinx configuration. ``make docs`` builds the pages; nothing is fetched, and a warning is an error.

What is our own: `reference/contents.py` writes the pages of the reference from the list of public names, and
`reference/links.py` makes names, citations and formulas into what they should be on a page.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "reference"))

import contents  # noqa: E402 - the path comes first

import repsim_geo  # noqa: E402

project = "repsim_geo"
author = "The repsim_geo authors"
copyright = author
version = release = repsim_geo.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "links",
]

nitpicky = True
exclude_patterns = ["_build", "gallery", "**/.ipynb_checkpoints"]
highlight_language = "none"  # indented blocks are formulas; examples with >>> are known as Python
default_role = "literal"  # `name` is a name; links.py leads from names to their pages

# ---------------------------------------------------------------------- pages in Markdown

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 4  # pages link to each other's headings as they do on a code host
myst_dmath_double_inline = True

# ---------------------------------------------------------------------- pages of the reference

contents.write(HERE / "reference" / "api")

autodoc_typehints = "none"  # the docstrings say types, shapes and units
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # contents.py chooses what a page shows
numpydoc_class_members_toctree = False
add_module_names = False
toc_object_entries = False
modindex_common_prefix = ["repsim_geo."]

# ---------------------------------------------------------------------- examples

# Examples that need a package which the project does not ask for: shown without pictures where it is missing.
EXTRA_PACKAGES = {"plot_pretrained_pitch": "torchcrepe"}
not_run = [example for example, package in EXTRA_PACKAGES.items() if find_spec(package) is None]

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["examples"],
    "filename_pattern": "".join(rf"(?![\\/]{example}\.)" for example in not_run) + r"[\\/]plot_",
    "ignore_pattern": r"^(?!plot_)",  # what examples import from beside them
    "within_subsection_order": "links.StoryOrder",
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", "links.reset_torch"),
    "image_srcset": ["2x"],
    "thumbnail_size": (560, 320),
    "doc_module": ("repsim_geo",),
    "backreferences_dir": "reference/api/examples",
    "inspect_global_variables": False,
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "only_warn_on_example_error": False,
}

# ---------------------------------------------------------------------- looks

html_theme = "furo"
html_title = "repsim_geo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#1f5a96",
        "color-brand-content": "#1f5a96",
    },
    "dark_css_variables": {
        "color-brand-primary": "#8ab8e6",
        "color-brand-content": "#8ab8e6",
    },
    "top_of_page_buttons": [],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Formulas need no net: links.py puts this file beside the pages.
mathjax_path = "mathjax/tex-svg-full.js"
mathjax3_config = {"svg": {"fontCache": "global", "scale": 0.92}, "options": {"enableMenu": False}}
