package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

// tokens are the operations on tokens.
func (s *server) tokens(api huma.API) {
	op(s, api, route{method: http.MethodGet, path: "/tokens", id: "listTokens", tag: "access",
		about: "List tokens, also those that are over", verb: access.SeeSecurity}, s.listTokens)
	op(s, api, route{method: http.MethodPost, path: "/tokens", id: "addToken", tag: "access", order: true,
		about: "Make a token, which is shown once", verb: access.TokenManage}, s.addToken)
	op(s, api, route{method: http.MethodDelete, path: "/tokens/{name}", id: "revokeToken", tag: "access", order: true,
		about: "Shut a token out at once", verb: access.TokenManage}, s.revokeToken)
}

func (s *server) listTokens(ctx context.Context, _ access.Who, _ *struct{}) (*struct{ Body []store.Token }, error) {
	list, err := s.Store.Tokens(ctx)
	if list == nil {
		list = []store.Token{}
	}
	return &struct{ Body []store.Token }{list}, err
}

type tokenAnswer struct {
	Body struct {
		orders.Receipt
		Text  string      `json:"token,omitempty" doc:"What its holder sends. It cannot be had again."`
		About store.Token `json:"about"`
	}
}

func (s *server) addToken(ctx context.Context, who access.Who, in *struct {
	OrderParams
	Body struct {
		Reason
		Name    string      `json:"name" minLength:"1" maxLength:"100" doc:"What it is called in lists and in the ledger."`
		Role    access.Role `json:"role" enum:"viewer,site,operator,admin" doc:"What its holder is; see the table of verbs."`
		Sites   []string    `json:"sites" minItems:"1" maxItems:"1000" doc:"Where the role holds: login_bases, or * for all."`
		Expires time.Time   `json:"expires" doc:"A year from now at most."`
	}
}) (*tokenAnswer, error) {
	b := in.Body
	out := &tokenAnswer{}
	var err error
	out.Body.Receipt, out.Body.About, out.Body.Text, err = s.desk.AddToken(ctx, in.of(who, b.Reason), b.Name, b.Role, b.Sites,
		b.Expires)
	return out, err
}

func (s *server) revokeToken(ctx context.Context, who access.Who, in *struct {
	Named
	OrderParams
	Reason string `query:"reason" maxLength:"500" doc:"Why; the ledger keeps it."`
}) (*struct{ Body orders.Receipt }, error) {
	r, err := s.desk.RevokeToken(ctx, in.of(who, Reason{Reason: in.Reason}), in.Name)
	return &struct{ Body orders.Receipt }{r}, err
}
