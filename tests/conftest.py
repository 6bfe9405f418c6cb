"""What all tests share: `runs`, the story of a clean run to be changed by a test, can be imported from anywhere."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
