@echo off
rem Start Easel. The first start makes .venv and installs what is needed; flags: webui.bat --help
setlocal
cd /d "%~dp0"
set PYTHON=
for %%P in ("py -3.11" "py -3.12" "py -3.13" "python3" "python") do (
    if not defined PYTHON (
        %%~P -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" >nul 2>nul && set "PYTHON=%%~P"
    )
)
if not defined PYTHON (
    echo Easel needs Python 3.11 ^(3.12 and 3.13 do as well^): install it and start again. 1>&2
    exit /b 1
)
%PYTHON% tools\environment.py || exit /b 1
.venv\Scripts\python.exe app.py %*
exit /b %ERRORLEVEL%
