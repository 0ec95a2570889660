"""What the notebooks share: set-up, pictures before and after, and the command that saves their outputs."""

from ucolnet_lib.notebook.alpha_explorer import AlphaExplorer
from ucolnet_lib.notebook.compare import compare, to_gray
from ucolnet_lib.notebook.explorer import Explorer
from ucolnet_lib.notebook.live_curves import LiveCurves
from ucolnet_lib.notebook.setup import Lesson, start
from ucolnet_lib.notebook.vividness_explorer import VividnessExplorer

__all__ = ["AlphaExplorer", "Explorer", "Lesson", "LiveCurves", "VividnessExplorer", "compare", "start", "to_gray"]
