#!/bin/sh
# Stand-in for FZJ's tool that names the account of a project.
echo 'export BUDGET_ACCOUNTS=bench;'
