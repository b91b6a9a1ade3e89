"""XGBoost as AWS's image trains and serves it when no script of the user's is named.

hyperparameters  their names, ranges and the errors for those that do not fit
channels         the input channels and what they hold, as a DMatrix
metrics          the evaluation metrics that XGBoost does not have itself
callbacks        what happens after each round: the log, checkpoints, the model so far
hosts            several hosts that train one model
training         a training job from its configuration files to the model
prediction       bodies into predictions and predictions into bodies
serving          the handlers of the model server

Source of the semantics: aws/sagemaker-xgboost-container, the images 1.7-1 and 3.0-5.
Imports the standard library, numpy, scipy, pandas, scikit-learn and xgboost.
"""
