"""Placeholder: mended below."""
from ministack import app

if __name__ == "__main__":
    app.main()
