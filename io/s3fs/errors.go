package s3fs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/spark-go/spark-go/io/filesys"
)

// What errors of this package wrap besides the usual ones of io/fs.
var (
	ErrNoBucket    = errors.New("the bucket does not exist")
	ErrWrongRegion = errors.New("the bucket lies in another region")
)

// fail makes an error of one operation: what was done to which object, and what helps. nil stays nil.
func (b *bucket) fail(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: "s3://" + b.name + path, Err: b.explain(err)}
}

func (b *bucket) at() string {
	if b.endpoint == "" {
		return ""
	}
	return " at " + b.endpoint
}

// explain turns what the client reports into errors that can be told apart and acted on.
func (b *bucket) explain(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	code, message, status := "", "", 0
	var api smithy.APIError
	if errors.As(err, &api) {
		code, message = api.ErrorCode(), api.ErrorMessage()
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	said := code
	if message != "" && message != code {
		said += ": " + message
	}
	switch code {
	case "NoSuchKey", "NotFound", "NoSuchUpload":
		return fs.ErrNotExist
	case "NoSuchBucket":
		return fmt.Errorf("%w%s: check its name, or make it", ErrNoBucket, b.at())
	case "SignatureDoesNotMatch":
		return fmt.Errorf("%w: the secret key is wrong, or the clock of this machine is (%s): check AWS_SECRET_ACCESS_KEY or spark.hadoop.fs.s3a.secret.key", fs.ErrPermission, said)
	case "InvalidAccessKeyId", "XAdminUserNotFound", "InvalidToken", "ExpiredToken", "TokenRefreshRequired":
		return fmt.Errorf("%w: the store does not know the access key, or it has expired (%s): check AWS_ACCESS_KEY_ID or spark.hadoop.fs.s3a.access.key", fs.ErrPermission, said)
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden":
		return fmt.Errorf("%w: the credentials are not allowed to do this (%s): check the bucket's policy, or access and secret key if they have never worked", fs.ErrPermission, said)
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect", "MovedPermanently":
		return fmt.Errorf("%w%s%s: set AWS_REGION or spark.hadoop.fs.s3a.endpoint.region", ErrWrongRegion, regionOf(response), b.at())
	case "PreconditionFailed":
		return fs.ErrExist
	}
	switch status {
	case http.StatusNotFound:
		if code == "" {
			return fs.ErrNotExist
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: the store refuses the credentials (%d %s): check access key, secret key and the bucket's policy", fs.ErrPermission, status, said)
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
		return fmt.Errorf("%w%s%s: set AWS_REGION or spark.hadoop.fs.s3a.endpoint.region", ErrWrongRegion, regionOf(response), b.at())
	}
	if code != "" {
		var request *awshttp.ResponseError
		if errors.As(err, &request) && request.ServiceRequestID() != "" {
			said += ", request " + request.ServiceRequestID()
		}
		return fmt.Errorf("the store%s answers %d %s", b.at(), status, said)
	}
	if status == 0 {
		var op *smithy.OperationError
		if errors.As(err, &op) {
			err = op.Unwrap()
		}
		return fmt.Errorf("%w: check the endpoint%s and the network", err, b.at())
	}
	return err
}

// regionOf says where the bucket is, if the store said so.
func regionOf(r *smithyhttp.ResponseError) string {
	if r == nil || r.Response == nil {
		return ""
	}
	if region := r.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
		return ", " + region
	}
	return ""
}

// changed is the error of a read after the object was replaced.
func changed() error {
	return fmt.Errorf("%w: it was replaced or removed while it was read: run the job again on files that stay as they are", filesys.ErrChanged)
}
