document.body.dataset.formjs = "ran";
