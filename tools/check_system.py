"""Say what this machine lacks, one sentence for each thing; exit code 1 if anything.

    python check_system.py python     # a supported Python that can make a virtual environment
    python check_system.py window     # ... and the system libraries of Qt without a display
    python check_system.py x11        # ... and those of Qt on X11

Standard library only, and readable by any Python 3, so that an unsuitable one can say so.
"""

import ctypes
import sys

OLDEST, NEWEST = (3, 11), (3, 13)
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
X11_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}


def missing_python():
    """Sentences about the running Python."""
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        return [
            "Python %d.%d at %s is not supported; "
            "install one of Python 3.11 to 3.13 and name it, as in PYTHON=python3.13 make test."
            % (version + (sys.executable,))
        ]
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            return [
                "Python %d.%d at %s cannot make virtual environments; on Debian and Ubuntu install python%d.%d-venv."
                % (version + (sys.executable,) + version)
            ]
    return []


def missing_libraries(libraries):
    """Sentences about system libraries that do not load; none where Qt brings its own (macOS, Windows)."""
    if not sys.platform.startswith("linux"):
        return []
    sentences = []
    for library, package in sorted(libraries.items()):
        try:
            ctypes.CDLL(library)
        except OSError:
            sentences.append(
                "The window needs the system library %s; on Debian and Ubuntu install %s." % (library, package)
            )
    return sentences


def main(argv):
    level = argv[0] if argv else "x11"
    sentences = missing_python()
    if level in ("window", "x11"):
        sentences += missing_libraries(QT_LIBRARIES)
    if level == "x11":
        sentences += missing_libraries(X11_LIBRARIES)
    for sentence in sentences:
        print(sentence)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
