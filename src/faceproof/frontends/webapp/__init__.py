"""The page: pictures in, each face's verdict and its evidence in words; nothing is kept on disk.

`app` is the script that Streamlit runs, `serving` starts it. A page is a module with one function
that draws it; it asks a Checker and adds nothing to what that says.
"""
